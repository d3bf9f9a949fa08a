"""A part of the playbook that has run on the machines: the resource behind hosts, mesh and workloads."""

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from stacks import playbooks
from stacks.providers import progress

Values = dict[str, Any]
DRIFT = "drift"


class PlaybookProvider(ResourceProvider):
    """Creates and updates by running the plays; reads by running them in check mode."""

    def create(self, props: Values) -> CreateResult:
        """Run the plays."""
        return CreateResult(id_=f"{props['environment']}-{props['part']}", outs=self._run(props))

    def update(self, _id: str, _olds: Values, news: Values) -> UpdateResult:
        """Run the plays again."""
        return UpdateResult(outs=self._run(news))

    def diff(self, _id: str, olds: Values, news: Values) -> DiffResult:
        """Changed when an input changed, or when the last look found the machines to differ."""
        changed = [key for key in ("inventory", "digest", "secrets", "tags") if olds.get(key) != news.get(key)]
        if olds.get(DRIFT):
            changed.append(DRIFT)
        return DiffResult(changes=bool(changed), replaces=[], stables=["environment", "part"])

    def read(self, id_: str, props: Values) -> ReadResult:
        """Ask the machines by check mode what would change; a machine that does not answer counts as changed."""
        try:
            outcome = playbooks.run(props["inventory"], props["secrets"], tuple(props["tags"]), check=True)
            drift = outcome.changes
        except playbooks.PlaybookError as error:
            drift = str(error).splitlines()
        return ReadResult(id_=id_, outs={**props, DRIFT: drift})

    def _run(self, props: Values) -> Values:
        say = progress.speaker(f"{props['part']}")
        outcome = playbooks.run(props["inventory"], props["secrets"], tuple(props["tags"]), say=say)
        return {**props, DRIFT: [], "hosts": sorted(outcome.hosts)}


class Playbook(Resource):
    """The plays with ``tags`` of ``mesh.yml``, run for the ``part`` of an environment.

    ``inventory`` is JSON, as the engine knows no whole numbers. ``digest`` stands for everything that the run depends on and
    the inventory does not tell: roles, templates, wheels, and which machines stand at the addresses.
    """

    hosts: pulumi.Output[list[str]]

    def __init__(
        self,
        name: str,
        *,
        environment: str,
        part: str,
        tags: list[str],
        inventory: pulumi.Input[str],
        secrets: pulumi.Input[dict[str, str]],
        digest: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        values = {
            "environment": environment,
            "part": part,
            "tags": tags,
            "inventory": inventory,
            "secrets": pulumi.Output.secret(secrets),
            "digest": digest,
            "hosts": None,
            DRIFT: [],
        }
        options = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(additional_secret_outputs=["secrets"]))
        super().__init__(PlaybookProvider(), name, values, options)

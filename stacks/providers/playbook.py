"""A part of the playbook that has run on the machines: the resource behind hosts, mesh and workloads."""

import contextlib
from collections.abc import Sequence
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from stacks import playbooks
from stacks.providers import progress

Values = dict[str, Any]
DRIFT = "drift"
INPUTS = ("inventory", "digest", "secrets", "tags", "playbook")


def _play(props: Values, **how: Any) -> playbooks.Outcome:
    playbook = props.get("playbook", playbooks.MESH)  # a state of an earlier version says none
    return playbooks.run(props["inventory"], props["secrets"], tuple(props["tags"]), playbook=playbook, **how)


class PlaybookProvider(ResourceProvider):
    """Creates and updates by running the plays; reads by running them in check mode."""

    def create(self, props: Values) -> CreateResult:
        """Run the plays."""
        return CreateResult(id_=f"{props['environment']}-{props['part']}", outs=self._run(props))

    def update(self, _id: str, _olds: Values, news: Values) -> UpdateResult:
        """Run the plays again."""
        return UpdateResult(outs=self._run(news))

    def delete(self, _id: str, props: Values) -> None:
        """What the plays have left beside the project goes; machines go by themselves."""
        for name in props.get("leaves", ()):
            file = playbooks.ROOT / name
            file.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # others have files there as well
                file.parent.rmdir()

    def diff(self, _id: str, olds: Values, news: Values) -> DiffResult:
        """Changed when an input changed, or when the last look found the machines to differ."""
        changed = [key for key in INPUTS if olds.get(key) != news.get(key)]
        if olds.get(DRIFT):
            changed.append(DRIFT)
        return DiffResult(changes=bool(changed), replaces=[], stables=["environment", "part"])

    def read(self, id_: str, props: Values) -> ReadResult:
        """Ask the machines by check mode what would change; a machine that does not answer counts as changed."""
        try:
            outcome = _play(props, check=True)
            drift = outcome.changes
        except playbooks.PlaybookError as error:
            drift = str(error).splitlines()
        return ReadResult(id_=id_, outs={**props, DRIFT: drift})

    def _run(self, props: Values) -> Values:
        say = progress.speaker(f"{props['part']}")
        outcome = _play(props, say=say)
        return {**props, DRIFT: [], "hosts": sorted(outcome.hosts)}


class Playbook(Resource):
    """The plays with ``tags`` of a playbook, run for the ``part`` of an environment.

    ``leaves`` are files below the project's root that the plays write, for the operator, and that go with the resource.

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
        playbook: str = playbooks.MESH,
        leaves: Sequence[str] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        values = {
            "environment": environment,
            "part": part,
            "tags": tags,
            "inventory": inventory,
            "secrets": pulumi.Output.secret(secrets),
            "digest": digest,
            "playbook": playbook,
            "leaves": list(leaves),
            "hosts": None,
            DRIFT: [],
        }
        options = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(additional_secret_outputs=["secrets"]))
        super().__init__(PlaybookProvider(), name, values, options)

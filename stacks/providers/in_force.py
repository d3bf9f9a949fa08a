"""Policies of a cluster that every proxy has taken: the update waits for it, as with a set at a control plane of machines."""

import subprocess
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

from stacks.remote import mesh_here

Values = dict[str, Any]


class NotInForceError(RuntimeError):
    """A policy is not in force in time; the message says which, and why."""


class InForceProvider(ResourceProvider):
    """Waits when the policies are others; there is nothing to take away."""

    def create(self, props: Values) -> CreateResult:
        """Wait."""
        return CreateResult(id_="policies", outs=self._waited(props))

    def update(self, _id: str, _olds: Values, news: Values) -> UpdateResult:
        """Wait for the new ones."""
        return UpdateResult(outs=self._waited(news))

    def diff(self, _id: str, olds: Values, news: Values) -> DiffResult:
        """Changed when a policy was added, removed or edited."""
        return DiffResult(changes=olds.get("documents") != news.get("documents"))

    def _waited(self, props: Values) -> Values:
        # The control plane's own knowledge, by its command: stacks import none of it.
        command = [mesh_here(), "wait", f"--kubeconfig={props['kubeconfig']}"]
        command += [f"--seconds={props['wait_seconds']}", "--", *props["documents"]]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotInForceError((done.stderr or done.stdout).strip())
        return {**props}


class InForce(Resource):
    """``documents``: each policy as YAML by ``KIND NAMESPACE/NAME``; ``kubeconfig``: path of the cluster's login."""

    def __init__(
        self,
        name: str,
        *,
        documents: dict[str, str],
        kubeconfig: pulumi.Input[str],
        wait_seconds: float,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        values = {"documents": documents, "kubeconfig": kubeconfig, "wait_seconds": wait_seconds}
        super().__init__(InForceProvider(), name, values, opts)

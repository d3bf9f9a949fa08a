"""A release as a resource: begun by an update, which waits for its end and fails when it was aborted."""

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from stacks.control import ControlPlane
from stacks.providers import progress

Values = dict[str, Any]


class ReleaseProvider(ResourceProvider):
    """Begins what is declared. A release that is declared anew begins anew, once the one before has ended."""

    def create(self, props: Values) -> CreateResult:
        """Begin it, and wait where that is wanted."""
        return CreateResult(id_=str(props["name"]), outs=self._run(props))

    def update(self, _id: str, _olds: Values, news: Values) -> UpdateResult:
        """Begin what is declared now."""
        return UpdateResult(outs=self._run(news))

    def diff(self, _id: str, olds: Values, news: Values) -> DiffResult:
        """Changed when it is declared otherwise; that it has moved on is what releases do."""
        return DiffResult(
            changes=olds.get("rollout") != news.get("rollout") or olds.get("control") != news.get("control"),
            replaces=["name"] if olds.get("name") != news.get("name") else [],
        )

    def read(self, id_: str, props: Values) -> ReadResult:
        """It is there as long as the state says so: the control plane forgets a release only by order."""
        return ReadResult(id_=id_, outs=props)

    def delete(self, id_: str, props: Values) -> None:
        """End it, and take its policies away."""
        ControlPlane.at(props["control"]).give_up(id_)

    def _run(self, props: Values) -> Values:
        plane = ControlPlane.at(props["control"])
        found = plane.begin(props["rollout"])
        if props["wait_seconds"]:
            say = progress.speaker(f"release {props['name']}")
            found = plane.follow(str(props["name"]), float(props["wait_seconds"]), say)
        return {**props, "phase": found["phase"], "weight": found["weight"]}


class ReleaseResource(Resource):
    """``rollout`` is the document of a :class:`mesh_policy.releases.machine.Rollout`; ``wait_seconds`` 0 does not wait."""

    phase: pulumi.Output[str]
    weight: pulumi.Output[int]

    def __init__(
        self,
        resource_name: str,
        *,
        name: str,
        rollout: Values,
        control: pulumi.Input[Values],
        wait_seconds: float,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        values = {
            "name": name,
            "rollout": rollout,
            "control": control,
            "wait_seconds": wait_seconds,
            "phase": None,
            "weight": None,
        }
        super().__init__(ReleaseProvider(), resource_name, values, opts)

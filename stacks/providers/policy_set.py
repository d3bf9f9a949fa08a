"""The policies of an environment, in force and acknowledged by every affected proxy."""

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from mesh_policy import dump, load_documents
from mesh_policy.analysis.finding import subject
from stacks.control import ControlPlane

Values = dict[str, Any]


def by_name(text: str) -> dict[str, str]:
    """Documents of a YAML stream by ``KIND NAMESPACE/NAME``, each in canonical form, so that equal policies are equal."""
    policies = load_documents(text, "control plane")
    return {subject(p): dump([p]) for p in policies}


class PolicySetProvider(ResourceProvider):
    """Applies the whole set at once: all of it comes into force, or none."""

    def create(self, props: Values) -> CreateResult:
        """Put the set in force."""
        return CreateResult(id_=str(props["owner"]), outs=self._apply(props))

    def update(self, _id: str, _olds: Values, news: Values) -> UpdateResult:
        """Put the new set in force in place of the old one."""
        return UpdateResult(outs=self._apply(news))

    def diff(self, _id: str, olds: Values, news: Values) -> DiffResult:
        """Changed when a document was added, removed or edited (here, or behind our back as the last look found)."""
        return DiffResult(
            changes=olds.get("documents") != news.get("documents") or olds.get("control") != news.get("control"),
            replaces=["owner"] if olds.get("owner") != news.get("owner") else [],
        )

    def read(self, id_: str, props: Values) -> ReadResult:
        """What the control plane holds for the owner."""
        found = by_name(ControlPlane.at(props["control"]).read(id_))
        return ReadResult(id_=id_, outs={**props, "documents": found})

    def delete(self, id_: str, props: Values) -> None:
        """Take the set away."""
        ControlPlane.at(props["control"]).delete(id_)

    def _apply(self, props: Values) -> Values:
        plane = ControlPlane.at(props["control"])
        documents = list(props["documents"].values())
        answer = plane.apply(str(props["owner"]), documents, float(props["wait_seconds"]))
        return {**props, "acknowledged_by": sorted(answer.get("proxies", {}))}


class PolicySet(Resource):
    """``documents`` (by kind and name) in force for ``owner`` at the control plane ``control``."""

    acknowledged_by: pulumi.Output[list[str]]

    def __init__(
        self,
        name: str,
        *,
        owner: str,
        documents: dict[str, str],
        control: pulumi.Input[Values],
        wait_seconds: float,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        values = {
            "owner": owner,
            "documents": documents,
            "control": control,
            "wait_seconds": wait_seconds,
            "acknowledged_by": None,
        }
        super().__init__(PolicySetProvider(), name, values, opts)

"""Which parents (mostly Gateways, or Services for traffic within the mesh) a route wants to be attached to."""

from collections.abc import Iterator
from itertools import combinations
from typing import Annotated, Literal

from pydantic import AfterValidator

from mesh_policy.base import Model, Port
from mesh_policy.gateway_api.constraints import Items
from mesh_policy.gateway_api.kind import GROUP
from mesh_policy.gateway_api.names import Group, Kind, NamespaceName, ObjectName, SectionName
from mesh_policy.gateway_api.refusals import Refusal, refuse

DefaultGateways = Literal["All", "None"]
"""Whether a route attaches to the default Gateways (those with ``defaultScope``) as well; unset is ``None``."""


class ParentRef(Model):
    """One parent: ``group`` is by default ``gateway.networking.k8s.io``, ``kind`` ``Gateway``, ``namespace`` the route's.

    Without ``section_name`` and ``port`` all listeners are meant; with both, the listener has to fit both.
    """

    group: Group | None = None
    kind: Kind | None = None
    namespace: NamespaceName | None = None
    name: ObjectName
    section_name: SectionName | None = None
    port: Port | None = None

    @property
    def target(self) -> tuple[str, str, str | None, str]:
        """Group, kind, namespace and name with the defaults."""
        group = GROUP if self.group is None else self.group
        return group, self.kind or "Gateway", self.namespace, self.name


def _distinct(value: tuple[ParentRef, ...]) -> tuple[ParentRef, ...]:
    refuse(value, _alike(value))
    return value


def _alike(value: tuple[ParentRef, ...]) -> Iterator[Refusal]:
    for (_, one), (place, other) in combinations(enumerate(value), 2):
        if one.target != other.target:
            continue
        here = f"parent {one.name}"
        if (one.section_name is None, one.port is None) != (other.section_name is None, other.port is None):
            yield (place,), f"{here} stands several times: give each the same of sectionName and port"
        elif (one.section_name, one.port) == (other.section_name, other.port):
            yield (place,), f"{here} stands twice; tell them apart by sectionName or port, or keep one"


ParentRefs = Annotated[tuple[ParentRef, ...], Items(32), AfterValidator(_distinct)]
"""At most 32 parents, no two of them the same."""

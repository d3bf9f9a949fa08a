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
    """One parent: a Gateway, some of its listeners, or a Service."""

    group: Group | None = None
    """API group of the parent; default ``gateway.networking.k8s.io``. For a Service write ``""``, the core group."""
    kind: Kind | None = None
    """Kind of the parent: ``Gateway`` (default), or ``Service`` for traffic within the mesh. Istio also takes
    ``ListenerSet``, and ``ServiceEntry`` of ``networking.istio.io``; others it passes over."""
    namespace: NamespaceName | None = None
    """Namespace of the parent; default the route's. A Gateway elsewhere must let the route in (``allowedRoutes``); at a
    Service elsewhere the rules hold for clients of the route's namespace alone."""
    name: ObjectName
    """Name of the parent. Where there is none of that name, the route does nothing there."""
    section_name: SectionName | None = None
    """Name of the one listener that is meant; default all that let the route in. With a Service as parent Istio does
    not look at it."""
    port: Port | None = None
    """Port of the listeners that are meant, or of the Service; default all. With ``sectionName`` a listener must have
    both."""

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


class RouteSpec(Model):
    """What all kinds of routes have in common."""

    parent_refs: ParentRefs | None = None
    """What carries the rules, at most 32: Gateways, or Services for traffic within the mesh. Several listeners of one
    Gateway are told apart by ``sectionName`` or ``port``."""
    use_default_gateways: DefaultGateways | None = None
    """``All``: attaches also to every Gateway with ``defaultScope: All``. ``None`` (default): to ``parentRefs`` alone.
    Istio does not look at it."""

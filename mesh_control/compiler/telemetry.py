"""Telemetry: which of these policies are for a proxy, and in which order (Istio, ``pilot/pkg/model/telemetry.go``)."""

from enum import Enum

from mesh_api.config import Listener, TrafficDirection
from mesh_control.compiler.authorization import attached
from mesh_control.compiler.scope import Scope
from mesh_policy.telemetry.telemetry import Direction, Telemetry


class Side(Enum):
    """Which traffic of a proxy something is about."""

    INBOUND = "SERVER"
    OUTBOUND = "CLIENT"
    GATEWAY = "GATEWAY"

    @property
    def mode(self) -> str:
        """What a Telemetry calls it."""
        return "SERVER" if self is Side.INBOUND else "CLIENT"


def side_of(scope: Scope, listener: Listener) -> Side:
    """The side that a listener of the proxy stands on."""
    if listener.traffic_direction is TrafficDirection.INBOUND:
        return Side.INBOUND
    return Side.GATEWAY if scope.proxy.is_gateway else Side.OUTBOUND


def concerns(match: Direction | None, side: Side) -> bool:
    """Whether a setting is for a side."""
    return match is None or match.mode in (None, "CLIENT_AND_SERVER", side.mode)


def policies_of(scope: Scope) -> tuple[Telemetry, ...]:
    """Those that are for the proxy, later ones overriding: the root namespace's, its own namespace's, those that select it.

    Of several for a whole namespace the oldest counts alone. In the root namespace a selector is for that namespace only.
    """
    known = scope.world.of_kind(Telemetry)
    if not known:
        return ()
    namespace = scope.proxy.namespace
    found = []
    for owner in dict.fromkeys((scope.root_namespace, namespace)):
        found += [policy for policy in known if policy.metadata.namespace == owner and _is_general(policy)][:1]
    near = (policy for policy in known if policy.metadata.namespace == namespace and not _is_general(policy))
    return (*found, *(policy for policy in near if attached(policy, policy.spec, scope)))


def _is_general(policy: Telemetry) -> bool:
    selector = policy.spec.selector
    return not policy.spec.targets and (selector is None or not selector.match_labels)

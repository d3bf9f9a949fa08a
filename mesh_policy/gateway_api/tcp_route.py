"""TCPRoute: to which backends the connections of a TCP listener go."""

from collections.abc import Iterable
from typing import ClassVar, Literal

from mesh_policy.gateway_api.kind import StricterThanAlpha
from mesh_policy.gateway_api.parent_refs import RouteSpec
from mesh_policy.gateway_api.refusals import Refusal
from mesh_policy.gateway_api.stream_rules import StreamRules, several


class TcpRouteSpec(RouteSpec):
    """One rule, for all connections of the listeners it attaches to."""

    rules: StreamRules
    """The rule: exactly one. In v1alpha2 up to 16 are taken."""


class TCPRoute(StricterThanAlpha):
    """See :class:`TcpRouteSpec`."""

    KIND: ClassVar[str] = "TCPRoute"
    VERSIONS: ClassVar[tuple[str, ...]] = ("v1", "v1alpha2")
    kind: Literal["TCPRoute"] = "TCPRoute"
    spec: TcpRouteSpec

    def refused_by_v1(self) -> Iterable[Refusal]:
        """Several rules."""
        return several(self.spec.rules)

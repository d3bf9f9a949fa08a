"""TCPRoute: to which backends the connections of a TCP listener go."""

from collections.abc import Iterable
from typing import ClassVar, Literal

from mesh_policy.base import Model
from mesh_policy.gateway_api.kind import StricterThanAlpha
from mesh_policy.gateway_api.parent_refs import DefaultGateways, ParentRefs
from mesh_policy.gateway_api.refusals import Refusal
from mesh_policy.gateway_api.stream_rules import StreamRules, several


class TcpRouteSpec(Model):
    """One rule for all connections of the listeners of ``parent_refs``."""

    parent_refs: ParentRefs | None = None
    use_default_gateways: DefaultGateways | None = None
    rules: StreamRules


class TCPRoute(StricterThanAlpha):
    """See :class:`TcpRouteSpec`."""

    KIND: ClassVar[str] = "TCPRoute"
    VERSIONS: ClassVar[tuple[str, ...]] = ("v1", "v1alpha2")
    kind: Literal["TCPRoute"] = "TCPRoute"
    spec: TcpRouteSpec

    def refused_by_v1(self) -> Iterable[Refusal]:
        """Several rules."""
        return several(self.spec.rules)

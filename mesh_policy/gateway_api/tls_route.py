"""TLSRoute: to which backends the connections of a TLS listener go, by their SNI."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from mesh_policy.base import Model
from mesh_policy.gateway_api.constraints import Items
from mesh_policy.gateway_api.gateway import is_address
from mesh_policy.gateway_api.kind import StricterThanAlpha
from mesh_policy.gateway_api.names import Hostname
from mesh_policy.gateway_api.parent_refs import DefaultGateways, ParentRefs
from mesh_policy.gateway_api.refusals import Refusal
from mesh_policy.gateway_api.stream_rules import StreamRules, several


class TlsRouteSpec(Model):
    """One rule for connections whose SNI is among ``hostnames``, at the listeners of ``parent_refs``.

    ``hostnames`` are required, but in v1alpha2, where none stand for all of the listeners.
    """

    parent_refs: ParentRefs | None = None
    use_default_gateways: DefaultGateways | None = None
    hostnames: Annotated[tuple[Hostname, ...], Items(1024)] | None = None
    rules: StreamRules


class TLSRoute(StricterThanAlpha):
    """See :class:`TlsRouteSpec`."""

    KIND: ClassVar[str] = "TLSRoute"
    VERSIONS: ClassVar[tuple[str, ...]] = ("v1", "v1alpha3", "v1alpha2")
    kind: Literal["TLSRoute"] = "TLSRoute"
    spec: TlsRouteSpec

    def refused_by_v1(self) -> Iterator[Refusal]:
        """No host names, addresses among them, or several rules."""
        yield from several(self.spec.rules)
        if not self.spec.hostnames:
            yield ("spec", "hostnames"), "is required: which names the TLS connections ask for"
        for place, name in enumerate(self.spec.hostnames or ()):
            if is_address(name):
                yield ("spec", "hostnames", place), f"{name} is an address, which TLS never asks for; write a host name"

"""TLSRoute: to which backends the connections of a TLS listener go, by their SNI."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from mesh_policy.gateway_api.constraints import Items
from mesh_policy.gateway_api.gateway import is_address
from mesh_policy.gateway_api.kind import StricterThanAlpha
from mesh_policy.gateway_api.names import Hostname
from mesh_policy.gateway_api.parent_refs import RouteSpec
from mesh_policy.gateway_api.refusals import Refusal
from mesh_policy.gateway_api.stream_rules import StreamRules, several


class TlsRouteSpec(RouteSpec):
    """One rule, for TLS connections that ask for one of some names (SNI)."""

    hostnames: Annotated[tuple[Hostname, ...], Items(1024)] | None = None
    """Names (SNI) that the rule is for, at most 1024, perhaps with ``*.`` before them, never addresses. Required, but
    in v1alpha2. One that does not fit a listener's does not count there."""
    rules: StreamRules
    """The rule: exactly one. In v1alpha2 up to 16 are taken."""


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

"""GRPCRoute: how gRPC requests of a Gateway, or within the mesh, reach backends."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, WrapValidator

from mesh_policy.base import Model
from mesh_policy.gateway_api.backend_refs import WeightedBackend
from mesh_policy.gateway_api.constraints import Items
from mesh_policy.gateway_api.filters import (
    ExtensionRefFilter,
    RequestHeaderModifierFilter,
    RequestMirrorFilter,
    ResponseHeaderModifierFilter,
    repeated,
)
from mesh_policy.gateway_api.kind import GatewayApiPolicy
from mesh_policy.gateway_api.matches import GrpcMatch
from mesh_policy.gateway_api.names import Hostname, SectionName
from mesh_policy.gateway_api.parent_refs import RouteSpec
from mesh_policy.gateway_api.refusals import refuse
from mesh_policy.gateway_api.rules import same_names, too_many_matches
from mesh_policy.gateway_api.session import SessionPersistence
from mesh_policy.gateway_api.tagged import by_type

_CHOICES = (RequestHeaderModifierFilter, ResponseHeaderModifierFilter, RequestMirrorFilter, ExtensionRefFilter)
GrpcFilter = Annotated[
    RequestHeaderModifierFilter | ResponseHeaderModifierFilter | RequestMirrorFilter | ExtensionRefFilter,
    WrapValidator(by_type(*_CHOICES)),
]
"""One filter of a GRPCRoute."""


def _once(value: Sequence[GrpcFilter]) -> Sequence[GrpcFilter]:
    types: list[str] = [item.type for item in value]
    refuse(value, repeated(types, ("RequestHeaderModifier", "ResponseHeaderModifier")))
    return value


GrpcFilters = Annotated[tuple[GrpcFilter, ...], Items(16), AfterValidator(_once)]
"""At most 16 filters; those that change headers, each once."""


class GrpcBackend(WeightedBackend):
    """A backend, its share of the requests, and filters for those."""

    filters: GrpcFilters | None = None
    """What is done to requests that go to this backend, and to its answers; at most 16. Istio takes changes of headers
    alone, and nothing of a route with another filter here."""


class GrpcRule(Model):
    """One rule: requests that fit go through the filters to the backends. What fits no rule gets UNIMPLEMENTED."""

    name: SectionName | None = None
    """Name of the rule, for access logs and for objects that refer to it; no two rules of a route have the same."""
    matches: Annotated[tuple[GrpcMatch, ...], Items(64)] | None = None
    """Conditions of which one must hold, at most 64; unset, every gRPC request fits."""
    filters: GrpcFilters | None = None
    """What is done to requests and answers, at most 16; each change of headers stands once."""
    backend_refs: Annotated[tuple[GrpcBackend, ...], Items(16)] | None = None
    """Backends that share the requests, at most 16. Without any, and for the share of one that is not valid, the answer
    is UNAVAILABLE."""
    session_persistence: SessionPersistence | None = None
    """Keeps requests of one session at one backend; unset, each is balanced by itself. Istio does not look at it."""


def _fit(value: Sequence[GrpcRule]) -> Sequence[GrpcRule]:
    count = sum(len(rule.matches or ()) for rule in value)
    refuse(value, [*same_names(value), *too_many_matches(count)])
    return value


class GrpcRouteSpec(RouteSpec):
    """Rules for gRPC requests to some hosts.

    Of all rules of all routes that fit a request the most specific match wins: the longest host, the longest service, the
    longest method, the most headers; then the oldest route, the first by name, the first rule.
    """

    hostnames: Annotated[tuple[Hostname, ...], Items(16)] | None = None
    """Hosts that the rules are for, at most 16, perhaps with ``*.`` before them; default those of the listeners. One
    that does not fit a listener's does not count there. With a Service as parent they are not looked at."""
    rules: Annotated[tuple[GrpcRule, ...], Items(16), AfterValidator(_fit)] | None = None
    """The rules, at most 16, with at most 128 matches together."""


class GRPCRoute(GatewayApiPolicy):
    """See :class:`GrpcRouteSpec`."""

    KIND: ClassVar[str] = "GRPCRoute"
    VERSIONS: ClassVar[tuple[str, ...]] = ("v1",)
    kind: Literal["GRPCRoute"] = "GRPCRoute"
    spec: GrpcRouteSpec

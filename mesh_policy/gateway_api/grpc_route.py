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
from mesh_policy.gateway_api.parent_refs import DefaultGateways, ParentRefs
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
    """A backend, its share, and filters for what it gets alone."""

    filters: GrpcFilters | None = None


class GrpcRule(Model):
    """One rule: what fits any of ``matches`` (by default all requests) goes through ``filters`` to ``backend_refs``.

    A rule without backends answers UNAVAILABLE.
    """

    name: SectionName | None = None
    matches: Annotated[tuple[GrpcMatch, ...], Items(64)] | None = None
    filters: GrpcFilters | None = None
    backend_refs: Annotated[tuple[GrpcBackend, ...], Items(16)] | None = None
    session_persistence: SessionPersistence | None = None


def _fit(value: Sequence[GrpcRule]) -> Sequence[GrpcRule]:
    count = sum(len(rule.matches or ()) for rule in value)
    refuse(value, [*same_names(value), *too_many_matches(count)])
    return value


class GrpcRouteSpec(Model):
    """Rules for ``hostnames`` (by default those of the listeners), at the listeners of ``parent_refs``.

    Of all rules of all routes that fit a request the most specific match wins: the longest host, the longest service, the
    longest method, the most headers; then the oldest route, the first by name, the first rule.
    """

    parent_refs: ParentRefs | None = None
    use_default_gateways: DefaultGateways | None = None
    hostnames: Annotated[tuple[Hostname, ...], Items(16)] | None = None
    rules: Annotated[tuple[GrpcRule, ...], Items(16), AfterValidator(_fit)] | None = None


class GRPCRoute(GatewayApiPolicy):
    """See :class:`GrpcRouteSpec`."""

    KIND: ClassVar[str] = "GRPCRoute"
    VERSIONS: ClassVar[tuple[str, ...]] = ("v1",)
    kind: Literal["GRPCRoute"] = "GRPCRoute"
    spec: GrpcRouteSpec

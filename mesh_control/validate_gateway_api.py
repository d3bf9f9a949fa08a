"""What of the Gateway API is valid and cannot be honoured here, by our own proxy or by Istio: refused, not passed over."""

from collections.abc import Iterator, Sequence

from mesh_policy.base import Policy
from mesh_policy.gateway_api.backend_refs import WeightedBackend
from mesh_policy.gateway_api.filters import RequestMirrorFilter
from mesh_policy.gateway_api.gateway import Gateway
from mesh_policy.gateway_api.gateway_class import GatewayClass
from mesh_policy.gateway_api.grpc_route import GrpcBackend, GRPCRoute, GrpcRule
from mesh_policy.gateway_api.http_route import HttpBackend, HTTPRoute, HttpRule
from mesh_policy.gateway_api.listeners import Listener
from mesh_policy.gateway_api.reference_grant import ReferenceGrant
from mesh_policy.gateway_api.tcp_route import TCPRoute
from mesh_policy.gateway_api.tls_route import TLSRoute

Refusal = tuple[str, str]
"""Field and why."""
REMOVE = "is not supported yet; remove it"

KINDS = (Gateway, GatewayClass, GRPCRoute, HTTPRoute, ReferenceGrant, TCPRoute, TLSRoute)
"""Kinds that come into force."""
OPENED = ("HTTP", "HTTPS", "TLS", "TCP")
"""Protocols of listeners."""
UNKNOWN_TO_ISTIO = ("ExtensionRef", "ExternalAuth")
"""Filters with which nothing of a route comes into force."""


def unenforceable(policy: Policy) -> Iterator[Refusal]:
    """The fields of a policy of these kinds that this mesh does not honour."""
    if isinstance(policy, Gateway):
        yield from _gateway(policy)
    elif isinstance(policy, GatewayClass):
        if policy.spec.parameters_ref is not None:
            yield "spec.parametersRef", REMOVE
    elif isinstance(policy, HTTPRoute):
        yield from _default_gateways(policy)
        for place, rule in enumerate(policy.spec.rules or ()):
            yield from _http_rule(f"spec.rules[{place}]", rule)
    elif isinstance(policy, GRPCRoute):
        yield from _default_gateways(policy)
        for place, calls in enumerate(policy.spec.rules or ()):
            yield from _http_rule(f"spec.rules[{place}]", calls)
    elif isinstance(policy, TCPRoute | TLSRoute):
        yield from _default_gateways(policy)
        for place, stream in enumerate(policy.spec.rules or ()):
            yield from _backends(f"spec.rules[{place}].backendRefs", stream.backend_refs or ())


def _gateway(policy: Gateway) -> Iterator[Refusal]:
    spec = policy.spec
    for place, listener in enumerate(spec.listeners):
        yield from _listener(f"spec.listeners[{place}]", listener)
    for place, address in enumerate(spec.addresses or ()):
        if address.kind_of_address != "Hostname":
            yield f"spec.addresses[{place}].type", "no addresses are handed out here; name a service, as Hostname"
    for name, value in (
        ("infrastructure", spec.infrastructure),
        ("allowedListeners", spec.allowed_listeners),
        ("tls", spec.tls),
        ("defaultScope", spec.default_scope if spec.default_scope == "All" else None),
    ):
        if value is not None:
            yield f"spec.{name}", REMOVE


def _listener(path: str, listener: Listener) -> Iterator[Refusal]:
    if listener.protocol not in OPENED:
        yield f"{path}.protocol", f"{listener.protocol} is not supported yet; use HTTP, HTTPS, TLS or TCP"
    allowed = listener.allowed_routes.namespaces if listener.allowed_routes is not None else None
    if allowed is not None and allowed.from_ == "Selector":
        yield f"{path}.allowedRoutes.namespaces.from", "labels of namespaces are not known here; use Same or All"


def _default_gateways(policy: HTTPRoute | GRPCRoute | TCPRoute | TLSRoute) -> Iterator[Refusal]:
    if policy.spec.use_default_gateways == "All":
        yield "spec.useDefaultGateways", "Istio does not look at it; name the Gateway in parentRefs"


def _http_rule(path: str, rule: HttpRule | GrpcRule) -> Iterator[Refusal]:
    if rule.session_persistence is not None:
        yield f"{path}.sessionPersistence", "Istio does not look at it; remove it"
    for place, item in enumerate(rule.filters or ()):
        if item.type in UNKNOWN_TO_ISTIO:
            yield f"{path}.filters[{place}]", f"{item.type} is not supported; nothing of the route would be; remove it"
        elif isinstance(item, RequestMirrorFilter):
            backend = item.request_mirror.backend_ref
            if not backend.is_service:
                yield (
                    f"{path}.filters[{place}].requestMirror.backendRef.kind",
                    f"{backend.kind} is not supported; name a Service",
                )
    yield from _backends(f"{path}.backendRefs", rule.backend_refs or ())


def _backends(path: str, backends: Sequence[WeightedBackend]) -> Iterator[Refusal]:
    for place, backend in enumerate(backends):
        if not backend.is_service:
            yield f"{path}[{place}].kind", f"{backend.kind} is not supported; name a Service"
        elif "." in backend.name:
            yield f"{path}[{place}].name", f"{backend.name}: write the Service's name, not its host name"
        for filters, item in enumerate(
            (backend.filters or ()) if isinstance(backend, HttpBackend | GrpcBackend) else ()
        ):
            if item.type not in ("RequestHeaderModifier", "ResponseHeaderModifier"):
                yield (
                    f"{path}[{place}].filters[{filters}]",
                    f"{item.type} is not supported for a backend; put it into the rule",
                )

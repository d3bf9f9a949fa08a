"""Objects of the Gateway API: references that lead nowhere, or are not granted."""

from collections.abc import Iterator, Sequence

from mesh_policy.analysis.context import Check, Context
from mesh_policy.analysis.finding import Finding, Placed, found
from mesh_policy.analysis.pods import GATEWAY_NAME, Pod, labels_of
from mesh_policy.analysis.virtual_services import unknown_host
from mesh_policy.gateway_api.attachment import Parent, Reference, Refused, Route, attach, is_granted
from mesh_policy.gateway_api.backend_refs import Backend
from mesh_policy.gateway_api.gateway import Gateway
from mesh_policy.gateway_api.grpc_route import GRPCRoute, GrpcRule
from mesh_policy.gateway_api.http_route import HTTPRoute, HttpRule
from mesh_policy.gateway_api.kind import GROUP
from mesh_policy.gateway_api.reference_grant import ReferenceGrant
from mesh_policy.gateway_api.stream_rules import StreamRule
from mesh_policy.gateway_api.tcp_route import TCPRoute
from mesh_policy.gateway_api.tls_route import TLSRoute
from mesh_policy.hosts import CLUSTER_DOMAIN
from mesh_policy.objects import Secret
from mesh_policy.positions import Path
from mesh_policy.security.authorization_policy import AuthorizationPolicy
from mesh_policy.security.request_authentication import RequestAuthentication
from mesh_policy.telemetry.telemetry import Telemetry

GATEWAY = "Gateway.gateway.networking.k8s.io"


def routes(context: Context) -> Iterator[Placed[Route]]:
    """Every route."""
    yield from context.of(HTTPRoute)
    yield from context.of(GRPCRoute)
    yield from context.of(TLSRoute)
    yield from context.of(TCPRoute)


def parents(context: Context) -> Iterator[Finding]:
    """MESH0023: a route that attaches to no listener of a gateway that it names carries nothing there."""
    gateways = [placed.value for placed in context.of(Gateway)]
    if not (gateways or context.known.whole):
        return
    namespaces = {name: placed.labels for name, placed in context.namespaces.items()}
    for placed in routes(context):
        for parent in attach(placed.value, gateways, namespaces):
            if parent.refused is not None and parent.place is not None:
                yield from _refused(context, placed, parent, gateways)


def _refused(context: Context, placed: Placed[Route], parent: Parent, gateways: Sequence[Gateway]) -> Iterator[Finding]:
    assert parent.place is not None  # noqa: S101  # default gateways are not named
    reference = (placed.value.spec.parent_refs or ())[parent.place]
    full = f"{reference.namespace or placed.namespace}/{reference.name}"
    if f"{GATEWAY} {full}" in context.broken:
        return
    known = {f"{gateway.metadata.namespace}/{gateway.metadata.name}": gateway for gateway in gateways}
    listeners = ", ".join(listener.name for listener in known[full].spec.listeners) if full in known else ""
    if parent.refused is Refused.NOT_ALLOWED:
        message = f"no listener of gateway {full} allows such routes of namespace {placed.namespace}; see allowedRoutes"
    elif parent.refused is Refused.NO_HOSTNAME:
        message = f"no listener of gateway {full} has a host name in common with the route"
    elif full in known:
        message = f"gateway {full} has no such listener; it has {listeners}"
    else:
        message = f"gateway {full} does not exist; known are {', '.join(sorted(known)) or 'none'}"
    yield found("MESH0023", placed, ("spec", "parentRefs", parent.place), message)


def _backends(route: Route) -> Iterator[tuple[Path, Backend]]:
    rules: Sequence[HttpRule | GrpcRule | StreamRule] = route.spec.rules or ()
    for place, rule in enumerate(rules):
        for index, backend in enumerate(rule.backend_refs or ()):
            yield ("spec", "rules", place, "backendRefs", index), backend


def backends(context: Context) -> Iterator[Finding]:
    """MESH0023 and MESH0025: the services that routes lead to."""
    grants = [placed.value for placed in context.of(ReferenceGrant)]
    for placed in routes(context):
        for path, backend in _backends(placed.value):
            group, kind = backend.group or "", backend.kind or "Service"
            namespace = backend.namespace or placed.namespace
            referrer = Reference(GROUP, placed.value.KIND, placed.namespace, placed.name)
            if not is_granted(referrer, Reference(group, kind, namespace, backend.name), grants):
                message = (
                    f"no ReferenceGrant in namespace {namespace} lets a {placed.value.KIND} of {placed.namespace} refer to "
                    f"{kind} {backend.name}: its requests are refused with 500; write one there"
                )
                yield found("MESH0025", placed, (*path, "namespace"), message)
            if (group, kind) == ("", "Service"):
                yield from _service(context, placed, path, backend, namespace)


def _service(
    context: Context, placed: Placed[Route], path: Path, backend: Backend, namespace: str
) -> Iterator[Finding]:
    name = f"{backend.name}.{namespace}.{CLUSTER_DOMAIN}"
    if context.hosts is None or context.may_be_broken(name):
        return
    host = context.hosts.find(name, placed.namespace)
    if host is None:
        yield found("MESH0023", placed, (*path, "name"), unknown_host(context.hosts, name, placed.namespace))
    elif backend.port is not None and backend.port not in host.ports:
        ports = ", ".join(map(str, host.ports)) or "none"
        yield found("MESH0023", placed, (*path, "port"), f"{name} has no port {backend.port}; it has {ports}")


def certificates(context: Context) -> Iterator[Finding]:
    """MESH0023 and MESH0025: the secrets of listeners."""
    grants = [placed.value for placed in context.of(ReferenceGrant)]
    secrets = {placed.full_name for placed in context.of(Secret)}
    for placed in context.of(Gateway):
        for place, listener in enumerate(placed.value.spec.listeners):
            references = listener.tls.certificate_refs or () if listener.tls is not None else ()
            for index, reference in enumerate(references):
                path: Path = ("spec", "listeners", place, "tls", "certificateRefs", index)
                namespace = reference.namespace or placed.namespace
                target = Reference(reference.group or "", reference.kind or "Secret", namespace, reference.name)
                if not is_granted(Reference(GROUP, "Gateway", placed.namespace, placed.name), target, grants):
                    message = (
                        f"no ReferenceGrant in namespace {namespace} lets a Gateway of {placed.namespace} refer to secret "
                        f"{reference.name}; write one there"
                    )
                    yield found("MESH0025", placed, path, message)
                full = f"{namespace}/{reference.name}"
                if secrets and full not in secrets and f"Secret {full}" not in context.broken:
                    yield found("MESH0023", placed, path, f"there is no secret {full}")


def selectors(context: Context) -> Iterator[Finding]:
    """IST0166: a selector has no effect on the pods of a Gateway."""
    pods: dict[str, list[Pod]] = {}
    for pod in context.pods or ():
        if GATEWAY_NAME in pod.labels:
            pods.setdefault(pod.namespace, []).append(pod)
    policies = (*context.of(AuthorizationPolicy), *context.of(RequestAuthentication), *context.of(Telemetry))
    for placed in policies if pods else ():
        spec = placed.value.spec
        if spec.selector is None or spec.targets:
            continue
        labels = labels_of(spec.selector)
        names = {p.labels[GATEWAY_NAME] for p in pods.get(placed.namespace, ()) if labels.items() <= p.labels.items()}
        for name in sorted(names):
            message = (
                f"it picks pods of Gateway {name}, where a selector has no effect; name that Gateway in targetRefs"
            )
            yield found("IST0166", placed, ("spec", "selector"), message)


CHECKS: Sequence[Check] = (parents, backends, certificates, selectors)

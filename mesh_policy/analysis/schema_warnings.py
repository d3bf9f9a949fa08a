"""IST0133: what Istio's webhook accepts with a warning."""

from collections.abc import Iterator, Sequence

from mesh_policy import json_text
from mesh_policy.analysis.context import Check, Context
from mesh_policy.analysis.destination_rules import traffic_policies
from mesh_policy.analysis.finding import Finding, found
from mesh_policy.hosts import is_address
from mesh_policy.networking.destination_rule import DestinationRule, PortTrafficPolicy, TrafficPolicy
from mesh_policy.networking.gateway import Gateway
from mesh_policy.networking.http_route import HttpRoute
from mesh_policy.networking.proxy_config import ProxyConfig
from mesh_policy.networking.server_tls import ServerTls
from mesh_policy.networking.service_entry import ServiceEntry, ServiceEntrySpec
from mesh_policy.networking.sidecar import Sidecar
from mesh_policy.networking.virtual_service import VirtualService
from mesh_policy.networking.workload_entry import WorkloadEntry
from mesh_policy.objects.services import HTTP_PROTOCOLS
from mesh_policy.positions import Path
from mesh_policy.security.authorization_policy import AuthorizationPolicy
from mesh_policy.security.peer_authentication import PeerAuthentication
from mesh_policy.security.request_authentication import RequestAuthentication
from mesh_policy.telemetry.telemetry import Telemetry

CODE = "IST0133"
LARGE_BODY = 100 * 1024
"""Bytes of a direct response from which on it is a burden to the control plane (Istio's number)."""
AUTO_ALLOCATE = "networking.istio.io/enable-autoallocate-ip"
CIPHERS = frozenset(
    {
        "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
        "ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA", "ECDHE-RSA-AES256-SHA",
        "AES128-GCM-SHA256", "AES256-GCM-SHA384", "AES128-SHA", "AES256-SHA", "DES-CBC3-SHA",
    }
)  # fmt: skip
"""Cipher suites that Envoy can be told; others are ignored."""


def virtual_services(context: Context) -> Iterator[Finding]:
    """Deprecated and doubtful fields of VirtualServices."""
    for placed in context.of(VirtualService):
        for index, name in enumerate(placed.value.spec.gateways or ()):
            if "/" not in name and "." in name:
                own, owner = name.split(".")[:2]
                message = f"{name} is the old form of a gateway's name; write {owner}/{own}"
                yield found(CODE, placed, ("spec", "gateways", index), message)
        for place, route in enumerate(placed.value.spec.http or ()):
            for path, message in _route(route, ("spec", "http", place)):
                yield found(CODE, placed, path, message)
        for place, tls in enumerate(placed.value.spec.tls or ()):
            for index, match in enumerate(tls.match or ()):
                for number, host in enumerate(match.sni_hosts or ()):
                    if is_address(host):
                        at: Path = ("spec", "tls", place, "match", index, "sniHosts", number)
                        message = f"{host} is an address; clients send names only, so this rarely matches"
                        yield found(CODE, placed, at, message)


def _route(route: HttpRoute, path: Path) -> Iterator[tuple[Path, str]]:
    if route.mirror_percent is not None:
        message = f"mirrorPercent is deprecated; write mirrorPercentage: {{value: {route.mirror_percent}}}"
        yield (*path, "mirrorPercent"), message
    abort = route.fault.abort if route.fault is not None else None
    if abort is not None and abort.http_status is None and not abort.grpc_status:
        yield (*path, "fault", "abort"), "the abort has no httpStatus or grpcStatus, so it aborts nothing; add one"
    body = route.direct_response.body if route.direct_response is not None else None
    if body is not None and max(len((body.string or "").encode()), len(body.bytes or "") * 3 // 4) > LARGE_BODY:
        yield (
            (*path, "directResponse", "body"),
            "the body is large, which slows the control plane; serve it by a workload",
        )


def destination_rules(context: Context) -> Iterator[Finding]:
    """Deprecated fields of DestinationRules."""
    for placed in context.of(DestinationRule):
        for path, policy, _ in traffic_policies(placed):
            places: list[tuple[Path, TrafficPolicy | PortTrafficPolicy]] = [(path, policy)]
            ports = policy.port_level_settings or ()
            places += [((*path, "portLevelSettings", place), settings) for place, settings in enumerate(ports)]
            for at, settings in places:
                if settings.outlier_detection is not None and settings.outlier_detection.consecutive_errors:
                    message = "consecutiveErrors is deprecated; write consecutiveGatewayErrors or consecutive5xxErrors"
                    yield found(CODE, placed, (*at, "outlierDetection", "consecutiveErrors"), message)
                balancer = settings.load_balancer
                hashed = balancer.consistent_hash if balancer is not None else None
                if hashed is not None and hashed.minimum_ring_size:
                    message = "minimumRingSize is deprecated here; write it below ringHash"
                    yield found(CODE, placed, (*at, "loadBalancer", "consistentHash", "minimumRingSize"), message)


def gateways(context: Context) -> Iterator[Finding]:
    """TLS of gateways that is not what it seems."""
    for placed in context.of(Gateway):
        for place, server in enumerate(placed.value.spec.servers):
            if server.tls is None:
                continue
            path: Path = ("spec", "servers", place, "tls")
            if server.tls.https_redirect and server.port.protocol.lower() not in HTTP_PROTOCOLS:
                message = f"httpsRedirect is for ports of HTTP, and this one is {server.port.protocol}; remove it"
                yield found(CODE, placed, (*path, "httpsRedirect"), message)
            for at, message in tls_warnings(server.tls, path):
                yield found(CODE, placed, at, message)


def tls_warnings(tls: ServerTls, path: Path) -> Iterator[tuple[Path, str]]:
    """What is doubtful in TLS settings of a server."""
    suites = tls.cipher_suites or ()
    if tls.min_protocol_version in ("TLSV1_0", "TLSV1_1") and not suites:
        message = (
            f"{tls.min_protocol_version} needs cipherSuites that it can use: the default ones are of TLS 1.2 and later"
        )
        yield (*path, "minProtocolVersion"), message
    for index, suite in enumerate(suites):
        if suite not in CIPHERS:
            yield (*path, "cipherSuites", index), f"{suite!r} is no cipher suite that is known, and is ignored"
        elif suite in suites[:index]:
            yield (*path, "cipherSuites", index), f"{suite} stands twice; remove one"
    given = (
        *(tls.ca_crl, tls.server_certificate, tls.private_key, tls.ca_certificates),
        *(tls.tls_certificates, tls.credential_name, tls.credential_names),
    )
    if tls.mode in ("PASSTHROUGH", "AUTO_PASSTHROUGH") and any(given):
        yield (*path, "mode"), f"{tls.mode} does not end TLS here, so its certificates are ignored; remove them"


def sidecars(context: Context) -> Iterator[Finding]:
    """Selectors without labels, hosts twice, and settings for HTTP where there is none."""
    for placed in context.of(Sidecar):
        spec = placed.value.spec
        if spec.workload_selector is not None and not spec.workload_selector.labels:
            yield found(CODE, placed, ("spec", "workloadSelector"), "without labels it is for the whole namespace")
        for place, inbound in enumerate(spec.ingress or ()):
            path: Path = ("spec", "ingress", place)
            if inbound.tls is not None:
                for at, message in tls_warnings(inbound.tls, (*path, "tls")):
                    yield found(CODE, placed, at, message)
            pool = inbound.connection_pool
            if (
                pool is not None
                and pool.http is not None
                and (inbound.port.protocol or "").lower() not in HTTP_PROTOCOLS
            ):
                message = f"port {inbound.port.number} is {inbound.port.protocol}: only the settings of tcp apply"
                yield found(CODE, placed, (*path, "connectionPool", "http"), message)
        for at, message in _egress(placed.namespace, [listener.hosts for listener in spec.egress or ()]):
            yield found(CODE, placed, at, message)


def _egress(namespace: str, listeners: Sequence[Sequence[str]]) -> Iterator[tuple[Path, str]]:
    for place, hosts in enumerate(listeners):
        seen: dict[str, set[str]] = {}
        for index, host in enumerate(hosts):
            owner, _, name = host.partition("/")
            known = seen.setdefault(namespace if owner == "." else owner, set())
            if (name == "*" and known) or (name != "*" and {name, "*"} & known):
                yield (
                    ("spec", "egress", place, "hosts", index),
                    f"{host} is covered by what stands before it; remove one",
                )
            known.add(name)
        if "*" in seen.get("*", ()) and len(seen) > 1:
            yield ("spec", "egress", place, "hosts"), "*/* names every host; remove the others"


def service_entries(context: Context) -> Iterator[Finding]:
    """ServiceEntries that take too much."""
    for placed in context.of(ServiceEntry):
        opted_out = placed.labels.get(AUTO_ALLOCATE, "").lower() == "false"
        for path, message in _entry(placed.value.spec, opted_out):
            yield found(CODE, placed, path, message)


def _entry(spec: ServiceEntrySpec, opted_out: bool) -> Iterator[tuple[Path, str]]:
    if spec.workload_selector is not None and not spec.workload_selector.labels:
        yield ("spec", "workloadSelector"), "without labels it selects every workload of the namespace"
    if spec.workload_selector is not None and spec.resolution in (None, "NONE"):
        yield ("spec", "workloadSelector"), "has no effect with resolution NONE; set STATIC"
    for index, host in enumerate(spec.hosts):
        if "*" in host and host != "*" and not host.startswith("*.") and spec.resolution != "DYNAMIC_DNS":
            yield ("spec", "hosts", index), f"{host}: a wildcard for a part of a label is not matched; write *.SUFFIX"
    tcp = [(n, port) for n, port in enumerate(spec.ports or ()) if port.protocol in (None, "", "TCP")]
    if not spec.addresses and (opted_out or spec.resolution in (None, "NONE")):
        for place, port in tcp:
            message = f"port {port.number} carries bytes: without addresses it takes all traffic of that port"
            yield ("spec", "ports", place), message
    bytes_ = any(
        (port.protocol or "").upper() in ("TCP", "HTTPS", "TLS", "MONGO", "REDIS", "MYSQL") for port in spec.ports or ()
    )
    if spec.resolution in ("DNS", "DNS_ROUND_ROBIN") and spec.addresses and bytes_ and len(spec.hosts) > 1:
        yield (
            ("spec", "hosts"),
            "several hosts cannot share addresses on a port of TCP; write one ServiceEntry for each",
        )


def workload_entries(context: Context) -> Iterator[Finding]:
    """Workloads of another network, known by that alone."""
    for placed in context.of(WorkloadEntry):
        spec = placed.value.spec
        if not spec.address and spec.network:
            yield found(
                CODE, placed, ("spec", "address"), f"is unset: reached by the gateway of network {spec.network} only"
            )


def selectors(context: Context) -> Iterator[Finding]:
    """A selector without labels, which is for the whole namespace."""
    policies = (
        *(*context.of(AuthorizationPolicy), *context.of(PeerAuthentication), *context.of(RequestAuthentication)),
        *(*context.of(Telemetry), *context.of(ProxyConfig)),
    )
    for placed in policies:
        if placed.value.spec.selector is not None and not placed.value.spec.selector.match_labels:
            yield found(CODE, placed, ("spec", "selector"), "without labels it is for the whole namespace; remove it")


def private_keys(context: Context) -> Iterator[Finding]:
    """A key set that gives more away than verification needs."""
    for placed in context.of(RequestAuthentication):
        for place, rule in enumerate(placed.value.spec.jwt_rules or ()):
            for number in _private(rule.jwks or ""):
                path: Path = ("spec", "jwtRules", place, "jwks")
                message = f"key {number} is private or secret, and anyone can read it here; write its public part only"
                yield found(CODE, placed, path, message)


def _private(key_set: str) -> Iterator[int]:
    try:
        keys = json_text.parse(key_set).get("keys", ()) if key_set else ()
    except (ValueError, AttributeError):
        return
    for number, key in enumerate(keys if isinstance(keys, list) else ()):
        if isinstance(key, dict) and ("d" in key or key.get("kty") == "oct"):
            yield number


def telemetries(context: Context) -> Iterator[Finding]:
    """More than Istio reads."""
    for placed in context.of(Telemetry):
        tracing = placed.value.spec.tracing or ()
        if len(tracing) > 1:
            yield found(CODE, placed, ("spec", "tracing"), "only the first is read; merge them")
        for place, item in enumerate(tracing):
            if len(item.providers or ()) > 1:
                path: Path = ("spec", "tracing", place, "providers")
                yield found(CODE, placed, path, "only the first provider is used; keep one")
        for place, metrics in enumerate(placed.value.spec.metrics or ()):
            for index, override in enumerate(metrics.overrides or ()):
                if "" in (override.tag_overrides or {}):
                    at: Path = ("spec", "metrics", place, "overrides", index, "tagOverrides")
                    yield found(CODE, placed, at, "a tag has no name; name it")


CHECKS: Sequence[Check] = (
    selectors,
    private_keys,
    telemetries,
    virtual_services,
    destination_rules,
    gateways,
    sidecars,
    service_entries,
    workload_entries,
)

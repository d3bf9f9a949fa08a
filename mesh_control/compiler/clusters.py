"""Clusters: one for each port of each visible service, and one for each subset of it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from mesh_api.config import (
    CircuitBreakerThresholds,
    Cluster,
    ClusterType,
    HttpProtocolOptions,
    LbPolicy,
    OutlierDetection,
    RawBuffer,
    RingHashConfig,
    ServiceName,
    SlowStart,
    TransportSocketMatch,
)
from mesh_control.compiler import defaults, endpoints, names, tls, traffic_policies
from mesh_control.compiler.peer_authentication import TlsMode, mtls_of_namespace
from mesh_control.compiler.scope import Scope
from mesh_control.compiler.traffic_policies import Settings
from mesh_control.world import Protocol, Resolution, Service, ServicePort, World
from mesh_policy import DestinationRule
from mesh_policy.networking import destination_rule as policy
from mesh_policy.networking.destination_rule import Subset

T = TypeVar("T")

SIMPLE = {
    "ROUND_ROBIN": LbPolicy.ROUND_ROBIN,
    "LEAST_REQUEST": LbPolicy.LEAST_REQUEST,
    "LEAST_CONN": LbPolicy.LEAST_REQUEST,
    "RANDOM": LbPolicy.RANDOM,
    "UNSPECIFIED": LbPolicy.LEAST_REQUEST,
}


def outbound(scope: Scope) -> list[Cluster]:
    """Clusters of every visible service."""
    made: list[Cluster] = []
    for service in scope.services:
        rules = scope.destination_rules(service)
        made += scope.shared("clusters", (service, *rules), partial(_of_service, scope, service, rules))
    return made


def _of_service(scope: Scope, service: Service, rules: Sequence[DestinationRule]) -> tuple[Cluster, ...]:
    made = []
    for port in service.ports:
        for subset in (None, *traffic_policies.subsets(rules)):
            cluster = _cluster(scope, service, port, subset)
            cluster = replace(cluster, **described(service, rules, subset))
            settings = traffic_policies.settings(rules, port.number, subset)
            cluster = with_settings(cluster, settings)
            made.append(cluster if scope.proxy.limited else _with_tls(scope, cluster, service, port, subset, settings))
    return tuple(made)


def _cluster(scope: Scope, service: Service, port: ServicePort, subset: Subset | None) -> Cluster:
    name = names.outbound(port.number, subset.name if subset else "", service.hostname)
    cluster = Cluster(
        name=name,
        type=ClusterType.EDS,
        connect_timeout=defaults.CONNECT_TIMEOUT,
        lb_policy=LbPolicy.LEAST_REQUEST,
        eds_service_name=name,
        thresholds=defaults.THRESHOLDS,
        healthy_panic_threshold=0.0,
        http=HttpProtocolOptions("http2" if port.protocol in (Protocol.GRPC, Protocol.HTTP2) else "http1"),
        alt_stat_name=names.statistics(name),
    )
    if service.resolution.by_name:
        hosts = endpoints.assignment(scope, service, port, subset)
        single = service.resolution is Resolution.LOGICAL_DNS and sum(len(x.endpoints) for x in hosts.localities) == 1
        kind = (
            ClusterType.LOGICAL_DNS if single else ClusterType.STRICT_DNS
        )  # Envoy wants exactly one name for the former
        cluster = replace(cluster, type=kind, eds_service_name="", load_assignment=hosts)
        cluster = replace(cluster, dns_jitter=defaults.DNS_JITTER, dns_max_queries=defaults.DNS_MAX_QUERIES)
    elif service.resolution is Resolution.NONE:
        cluster = _original_destination(cluster)
    return cluster


def described(service: Service, rules: Sequence[DestinationRule], subset: Subset | None = None) -> dict[str, Any]:
    """What telemetry and tools learn of a cluster, as its fields: service, rule and subset."""
    found = {}
    if rules:
        found["config"] = names.config_path("destination-rule", rules[0].metadata)
    if subset is not None:
        found["subset"] = subset.name
    return {
        "services": (ServiceName(service.hostname, service.name or service.hostname, service.namespace),),
        "external": service.external,
        "metadata": tuple(sorted(found.items())),
    }


def _with_tls(
    scope: Scope, cluster: Cluster, service: Service, port: ServicePort, subset: Subset | None, settings: Settings
) -> Cluster:
    """As the DestinationRule says; where it says nothing, mutual TLS to whoever takes it (Istio's auto mTLS)."""
    sni = names.sni(port.number, subset.name if subset else "", service.hostname)
    http2 = cluster.http.protocol == "http2"
    asked = settings.tls
    if asked is None:
        off = not scope.world.mesh.enable_auto_mtls
        if off or service.external or mtls_of_namespace(scope.world, service.namespace) is TlsMode.DISABLE:
            return cluster
        mutual = tls.mutual_client(sni, identities(scope.world, service), http2=http2)
        matches = (
            TransportSocketMatch("tlsMode-istio", (("tlsMode", "istio"),), mutual),
            TransportSocketMatch("tlsMode-disabled", (), RawBuffer()),
        )
        return replace(cluster, tls_matches=matches)
    if asked.mode == "ISTIO_MUTUAL":
        names_ = asked.subject_alt_names or identities(scope.world, service)
        return replace(cluster, tls=tls.mutual_client(asked.sni or sni, names_, http2=http2))
    return cluster


def identities(world: World, service: Service) -> tuple[str, ...]:
    """The names in the certificates of a service's workloads."""
    domains = world.trust_domains
    accounts = {(w.namespace, w.service_account) for w in world.members[service.hostname] if w.service_account}
    return tuple(
        sorted(
            f"spiffe://{domain}/ns/{namespace}/sa/{account}" for namespace, account in accounts for domain in domains
        )
    )


def with_settings(cluster: Cluster, settings: Settings) -> Cluster:
    """The cluster with a DestinationRule's settings."""
    cluster = _with_balancer(cluster, settings.load_balancer)
    cluster = with_pool(cluster, settings.connection_pool)
    return _with_outliers(cluster, settings.outlier_detection)


def _original_destination(cluster: Cluster) -> Cluster:
    return replace(cluster, type=ClusterType.ORIGINAL_DST, lb_policy=LbPolicy.CLUSTER_PROVIDED, eds_service_name="")


def _with_balancer(cluster: Cluster, balancer: policy.LoadBalancer | None) -> Cluster:
    if balancer is None or cluster.type is ClusterType.ORIGINAL_DST:
        return cluster
    if balancer.simple == "PASSTHROUGH":
        return replace(_original_destination(cluster), load_assignment=None)
    if balancer.consistent_hash is not None:
        return _with_hash(cluster, balancer.consistent_hash)
    lb_policy = SIMPLE[balancer.simple or "UNSPECIFIED"]
    if lb_policy is LbPolicy.RANDOM:
        return replace(cluster, lb_policy=lb_policy)
    return replace(cluster, lb_policy=lb_policy, slow_start=_slow_start(balancer))


def _slow_start(balancer: policy.LoadBalancer) -> SlowStart | None:
    if balancer.warmup is not None:
        warmup = balancer.warmup
        percent = 10.0 if warmup.minimum_percent is None else warmup.minimum_percent
        return SlowStart(warmup.duration.total_seconds(), warmup.aggression or 1.0, percent)
    if balancer.warmup_duration_secs is not None:
        return SlowStart(balancer.warmup_duration_secs.total_seconds())
    return None


def _with_hash(cluster: Cluster, hashed: policy.ConsistentHash) -> Cluster:
    if hashed.maglev is not None:
        size = hashed.maglev.table_size or 65537
        return replace(cluster, lb_policy=LbPolicy.MAGLEV, ring_hash=RingHashConfig(table_size=size))
    ring = (hashed.ring_hash.minimum_ring_size if hashed.ring_hash else None) or hashed.minimum_ring_size or 1024
    return replace(cluster, lb_policy=LbPolicy.RING_HASH, ring_hash=RingHashConfig(minimum_ring_size=ring))


def with_pool(cluster: Cluster, pool: policy.ConnectionPool | None) -> Cluster:
    """The cluster with the limits of a connection pool. 0 is what Istio reads where nothing is written: no limit."""
    if pool is None:
        return cluster
    tcp, http = pool.tcp or policy.TcpSettings(), pool.http or policy.HttpSettings()
    limits = defaults.THRESHOLDS
    thresholds = CircuitBreakerThresholds(
        tcp.max_connections or limits.max_connections,
        http.http1_max_pending_requests or limits.max_pending_requests,
        http.http2_max_requests or limits.max_requests,
        http.max_retries or limits.max_retries,
    )
    alive = tcp.tcp_keepalive
    protocol = _upgraded(cluster.http.protocol, http)
    options = replace(
        cluster.http,
        idle_timeout=_seconds(http.idle_timeout),
        max_connection_duration=_seconds(tcp.max_connection_duration),
        max_requests_per_connection=http.max_requests_per_connection or 0,
        max_concurrent_streams=None if protocol == "http1" else http.max_concurrent_streams or None,
        protocol=protocol,
    )
    return replace(
        cluster,
        thresholds=thresholds,
        connect_timeout=_or(_seconds(tcp.connect_timeout), cluster.connect_timeout),
        tcp_keepalive=None if alive is None else (alive.probes, _whole(alive.time), _whole(alive.interval)),
        http=options,
    )


def _upgraded(protocol: str, http: policy.HttpSettings) -> str:
    if http.use_client_protocol:
        return "downstream"
    return "http2" if http.h2_upgrade_policy == "UPGRADE" else protocol


def _or(value: T | None, default: T) -> T:
    return default if value is None else value


def _seconds(value: timedelta | None) -> float | None:
    return None if value is None else value.total_seconds()


def _whole(value: timedelta | None) -> int | None:
    return None if value is None else int(value.total_seconds())


def _with_outliers(cluster: Cluster, outliers: policy.OutlierDetection | None) -> Cluster:
    """Istio's reading of the block: what is unset has its defaults, a count of 0 switches that detector off."""
    if outliers is None or cluster.type is ClusterType.ORIGINAL_DST:
        return cluster
    errors = _or(outliers.consecutive_5xx_errors, _or(outliers.consecutive_errors, 5))
    gateway = outliers.consecutive_gateway_errors or 0
    local = _or(outliers.consecutive_local_origin_failures, 5)
    detection = OutlierDetection(
        consecutive_5xx=errors or 5,
        enforcing_consecutive_5xx=100 if errors else 0,
        consecutive_gateway_failure=gateway or 5,
        enforcing_consecutive_gateway_failure=100 if gateway else 0,
        consecutive_local_origin_failure=local or 5,
        enforcing_consecutive_local_origin_failure=100 if local else 0,
        interval=_or(_seconds(outliers.interval), 10.0),
        base_ejection_time=_or(_seconds(outliers.base_ejection_time), 30.0),
        max_ejection_percent=_or(outliers.max_ejection_percent, 10),
        split_external_local_origin_errors=bool(outliers.split_external_local_origin_errors),
    )
    panic = float(outliers.min_health_percent or 0)
    return replace(cluster, outlier_detection=detection, healthy_panic_threshold=panic)


def black_hole() -> Cluster:
    """The cluster without hosts."""
    return Cluster(
        defaults.BLACK_HOLE,
        ClusterType.STATIC,
        connect_timeout=defaults.CONNECT_TIMEOUT,
        alt_stat_name=names.statistics(defaults.BLACK_HOLE),
    )


def passthrough(scope: Scope) -> Cluster:
    """Whatever address was dialled."""
    protocol = "http1" if scope.proxy.limited else "downstream"
    return Cluster(
        defaults.PASSTHROUGH,
        ClusterType.ORIGINAL_DST,
        defaults.CONNECT_TIMEOUT,
        LbPolicy.CLUSTER_PROVIDED,
        thresholds=defaults.THRESHOLDS,
        http=HttpProtocolOptions(protocol, idle_timeout=defaults.IDLE_CONNECTION_TTL),
        cleanup_interval=defaults.IDLE_ENDPOINT_TTL,
        alt_stat_name=names.statistics(defaults.PASSTHROUGH),
    )


def inbound_passthrough(scope: Scope) -> Cluster:
    """A port of the application that no service names."""
    return replace(passthrough(scope), name=defaults.INBOUND_PASSTHROUGH, bind_address=defaults.LOOP_BREAKER)

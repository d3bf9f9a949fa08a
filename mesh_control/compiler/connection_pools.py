"""Connection pools of clusters: the mesh's settings, and a DestinationRule's or a Sidecar's in their place (Istio)."""

from dataclasses import replace
from datetime import timedelta

from mesh_api.config import CircuitBreakerThresholds, Cluster, HttpProtocolOptions, RetryBudget
from mesh_control.compiler import defaults
from mesh_control.compiler.proxy_headers import keeps_header_case
from mesh_control.compiler.scope import Scope
from mesh_control.services import Protocol
from mesh_policy.mesh_config import MeshConfig
from mesh_policy.networking import destination_rule as policy

MAY_BE_HTTP1 = Protocol.HTTP, Protocol.HTTP_PROXY, Protocol.AUTO
Keepalive = tuple[int | None, int | None, int | None]


def with_pool(
    scope: Scope, cluster: Cluster, pool: policy.ConnectionPool | None, protocol: Protocol | None = None
) -> Cluster:
    """The cluster with the limits of a connection pool. 0 is what Istio reads where nothing is written: no limit.

    ``protocol`` is what is declared of an outbound port, which may be upgraded to HTTP/2; ``None``: it may not.
    """
    mesh = scope.world.mesh
    tcp = (pool.tcp if pool is not None else None) or policy.TcpSettings()
    http = (pool.http if pool is not None else None) or policy.HttpSettings()
    undecided = cluster.http.protocol == "downstream"  # and stays so: nobody knows whether it is HTTP at all
    if protocol in MAY_BE_HTTP1 and keeps_header_case(scope):
        undecided = True  # HTTP/2 has no case
    if protocol is not None and not undecided and _is_upgraded(scope, http, protocol):
        cluster = replace(cluster, http=replace(cluster.http, protocol="http2"))
    return replace(
        cluster,
        thresholds=_thresholds(tcp, http),
        connect_timeout=(tcp.connect_timeout or mesh.connect_timeout).total_seconds(),
        tcp_keepalive=_keepalive(mesh, tcp),
        http=_options(cluster, tcp, http),
    )


def with_budget(cluster: Cluster, budget: policy.RetryBudget | None) -> Cluster:
    """The cluster with as many retries as a share of its requests."""
    if budget is None or cluster.thresholds is None:
        return cluster
    made = RetryBudget(
        20.0 if budget.percent is None else budget.percent,
        budget.min_retry_concurrency or 3,
        0.0 if budget.budget_interval is None else budget.budget_interval.total_seconds(),
    )
    return replace(cluster, thresholds=replace(cluster.thresholds, retry_budget=made))


def of_the_mesh(mesh: MeshConfig, cluster: Cluster) -> Cluster:
    """A cluster that no policy names, with how the mesh connects."""
    pool = mesh.default_traffic_policy.connection_pool if mesh.default_traffic_policy is not None else None
    tcp = (pool.tcp if pool is not None else None) or policy.TcpSettings()
    http = (pool.http if pool is not None else None) or policy.HttpSettings()
    timeout = (tcp.connect_timeout or mesh.connect_timeout).total_seconds()
    return replace(
        cluster,
        thresholds=_thresholds(tcp, http),
        connect_timeout=timeout,
        tcp_keepalive=_keepalive(mesh, tcp),
    )


def _thresholds(tcp: policy.TcpSettings, http: policy.HttpSettings) -> CircuitBreakerThresholds:
    limits = defaults.THRESHOLDS
    return CircuitBreakerThresholds(
        tcp.max_connections or limits.max_connections,
        http.http1_max_pending_requests or limits.max_pending_requests,
        http.http2_max_requests or limits.max_requests,
        http.max_retries or limits.max_retries,
    )


def _options(cluster: Cluster, tcp: policy.TcpSettings, http: policy.HttpSettings) -> HttpProtocolOptions:
    idle = tcp.idle_timeout if http.idle_timeout is None else http.idle_timeout
    explicit = cluster.http.protocol == "http2" and not http.use_client_protocol
    return replace(
        cluster.http,
        idle_timeout=_seconds(idle),
        max_connection_duration=_seconds(tcp.max_connection_duration),
        max_requests_per_connection=http.max_requests_per_connection or 0,
        max_concurrent_streams=(http.max_concurrent_streams or None) if explicit else None,
        keepalive=_probes(http.http2_keep_alive) if explicit else None,
        protocol="downstream" if http.use_client_protocol else cluster.http.protocol,
    )


def _probes(found: policy.Http2KeepAlive | None) -> tuple[float | None, float | None] | None:
    return None if found is None else (_seconds(found.interval), _seconds(found.timeout))


def _is_upgraded(scope: Scope, http: policy.HttpSettings, protocol: Protocol) -> bool:
    """A rule's own word holds for every port, the mesh's for those that are declared as HTTP/1.1 or HTTP/2."""
    if http.use_client_protocol:
        return False
    asked = http.h2_upgrade_policy or "DEFAULT"
    if asked != "DEFAULT":
        return asked == "UPGRADE"
    return scope.world.mesh.h2_upgrade_policy == "UPGRADE" and protocol.is_http


def _keepalive(mesh: MeshConfig, tcp: policy.TcpSettings) -> Keepalive | None:
    """The mesh's probes, each value of which a rule may replace."""
    known = [found for found in (tcp.tcp_keepalive, mesh.tcp_keepalive) if found is not None]
    if not known:
        return None
    return (
        next((found.probes for found in known if found.probes), None),
        next((_whole(found.time) for found in known if found.time), None),
        next((_whole(found.interval) for found in known if found.interval), None),
    )


def _seconds(value: timedelta | None) -> float | None:
    return None if value is None else value.total_seconds()


def _whole(value: timedelta) -> int:
    return int(value.total_seconds())

"""Clusters: one for each port of each visible service, and one for each subset of it."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from mesh_api.config import (
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
    UpstreamProxyProtocol,
    UpstreamSocket,
    ZoneAware,
)
from mesh_control.compiler import (
    client_tls,
    connection_pools,
    defaults,
    endpoints,
    forward_proxies,
    locality,
    names,
    outbound_policy,
    statistics,
    tls,
    traffic_policies,
)
from mesh_control.compiler.peer_authentication import TlsMode, mtls_of_namespace
from mesh_control.compiler.proxy_headers import keeps_header_case
from mesh_control.compiler.scope import Scope
from mesh_control.compiler.traffic_policies import Settings
from mesh_control.services import Protocol, Resolution, Service, ServicePort
from mesh_control.world import World
from mesh_policy import DestinationRule
from mesh_policy.networking import destination_rule as policy
from mesh_policy.networking.destination_rule import Subset, ZoneAwareLbSetting

T = TypeVar("T")

_IDENTITY = re.compile(r"spiffe://[^/]+/(ns/[^/]+/sa/[^/]+)")
_NO_NAMES = Cluster("", ClusterType.ORIGINAL_DST)
"""A cluster that asks for no names."""

TO_HOSTS = "SIMPLE", "MUTUAL"
"""Modes of TLS that is not the mesh's own."""
SIMPLE = {
    "ROUND_ROBIN": LbPolicy.ROUND_ROBIN,
    "LEAST_REQUEST": LbPolicy.LEAST_REQUEST,
    "LEAST_CONN": LbPolicy.LEAST_REQUEST,
    "RANDOM": LbPolicy.RANDOM,
    "UNSPECIFIED": LbPolicy.LEAST_REQUEST,
}


def outbound(scope: Scope) -> list[Cluster]:
    """Clusters of every visible service."""
    return [cluster for service in scope.services for cluster in of_service(scope, service)]


def surroundings(scope: Scope) -> tuple[object, ...]:
    """What besides the view of the mesh decides about these clusters."""
    files = scope.proxy.client_files, scope.proxy.plain
    return outbound_policy.looked_up(scope.proxy), files, keeps_header_case(scope)


def of_service(scope: Scope, service: Service) -> tuple[Cluster, ...]:
    """Those of its ports, each with those of its subsets."""
    if service.resolution is Resolution.ALIAS:
        return ()
    rules = scope.destination_rules(service)
    located = service.resolution.by_name and locality.looks(scope.world, service, rules) and scope.client
    what = (
        "clusters",
        scope.proxy.is_gateway,
        located,
        surroundings(scope),
        scope.network if service.resolution.by_name else None,
    )  # which may have secrets, and is told the hosts of headless services
    inputs = service, scope.world.members_of(service), *rules
    return scope.shared(what, inputs, partial(_of_service, scope, service, rules))


def _of_service(scope: Scope, service: Service, rules: Sequence[DestinationRule]) -> tuple[Cluster, ...]:
    made = []
    selected = any(rule.spec.workload_selector is not None for rule in rules)
    for port in service.ports:
        dialled, named = False, forward_proxies.is_named(service)
        if named and port.protocol not in forward_proxies.CARRIED:
            continue
        for subset in (None, *(() if named else traffic_policies.subsets(rules))):
            cluster = _cluster(scope, service, port, subset, dialled=dialled)
            if _lacks_hosts(cluster) and subset is not None:
                continue  # routes to it answer that there is no such cluster (Istio)
            cluster = replace(cluster, **described(service, rules, subset))
            if named:
                cluster = replace(cluster, services=())  # names its host alone (Istio)
            settings = traffic_policies.settings(rules, port.number, subset, scope.world.mesh)
            cluster = connection_pools.with_pool(scope, cluster, settings.connection_pool, port.protocol)
            cluster = connection_pools.with_budget(cluster, settings.retry_budget)
            cluster = _with_outliers(cluster, service, settings.outlier_detection)
            cluster = _with_localities(scope, cluster, service, port, subset, settings)
            cluster = _with_balancer(cluster, settings.load_balancer)
            dialled = cluster.type is ClusterType.ORIGINAL_DST if subset is None else dialled
            withheld = settings.tls is not None and client_tls.is_withheld(scope, settings.tls, selected=selected)
            if not withheld:
                cluster = _with_tls(scope, cluster, service, port, subset, settings)
            elif settings.tls is not None and settings.tls.mode in TO_HOSTS:
                cluster = replace(cluster, metadata=client_tls.without_mesh_alpn(cluster))
            cluster = forward_proxies.checked(cluster, settings.tls) if named else cluster
            made.append(_announcing(cluster, settings.proxy_protocol))
    return tuple(made)


def _cluster(
    scope: Scope, service: Service, port: ServicePort, subset: Subset | None, *, dialled: bool = False
) -> Cluster:
    """The cluster before any rule. ``dialled``: that of the whole port goes to the address that was dialled, and so do those
    of its subsets, whatever they say (Istio)."""
    name = names.outbound(port.number, subset.name if subset else "", service.hostname)
    cluster = Cluster(
        name=name,
        type=ClusterType.EDS,
        connect_timeout=defaults.CONNECT_TIMEOUT,
        lb_policy=LbPolicy.LEAST_REQUEST,
        eds_service_name=name,
        thresholds=defaults.THRESHOLDS,
        healthy_panic_threshold=0.0,
        http=HttpProtocolOptions(spoken(port.protocol, looks=not scope.proxy.is_gateway)),
        alt_stat_name=names.statistics(_counted_as(scope, service, port, subset) or name),
    )
    if forward_proxies.is_named(service):
        return forward_proxies.hosts(scope.proxy, service, cluster)
    if dialled or _dials(subset):
        return _original_destination(cluster, port)
    if service.resolution.by_name:
        hosts = endpoints.assignment(scope, service, port, subset)
        logical = service.races or service.resolution is Resolution.LOGICAL_DNS
        single = logical and sum(len(x.endpoints) for x in hosts.localities) == 1
        kind = (
            ClusterType.LOGICAL_DNS if single else ClusterType.STRICT_DNS
        )  # Envoy wants exactly one name for the former
        cluster = replace(cluster, type=kind, eds_service_name="", load_assignment=hosts)
        cluster = replace(
            cluster,
            dns_jitter=defaults.DNS_JITTER,
            dns_max_queries=defaults.DNS_MAX_QUERIES,
            dns_refresh_rate=scope.world.mesh.dns_refresh_rate.total_seconds(),
            dns_lookup_family="ALL" if service.races else outbound_policy.looked_up(scope.proxy),
        )
    elif not endpoints.known_here(scope, service):
        cluster = _original_destination(cluster, port)
    return cluster


def _counted_as(scope: Scope, service: Service, port: ServicePort, subset: Subset | None) -> str:
    """The name in statistics that the mesh asks for; empty: none."""
    pattern = scope.world.mesh.outbound_cluster_stat_name
    return statistics.named(pattern, service, port, subset=subset.name if subset is not None else "", target=0)


def _lacks_hosts(cluster: Cluster) -> bool:
    return cluster.load_assignment is not None and not cluster.load_assignment.localities


def _dials(subset: Subset | None) -> bool:
    """Whether a subset goes to the address that was dialled, whatever it says for single ports (Istio)."""
    return subset is not None and _passes(subset.traffic_policy)


def _passes(settings: policy.TrafficPolicy | None) -> bool:
    """Whether what is said of all ports is to keep the address that was dialled."""
    balancer = settings.load_balancer if settings is not None else None
    return balancer is not None and balancer.simple == "PASSTHROUGH"


def spoken(protocol: Protocol, *, looks: bool = True) -> str:
    """What is not declared is spoken as the client does, by whoever ``looks`` into connections."""
    return "downstream" if protocol is Protocol.AUTO and looks else "http2" if protocol.is_http2 else "http1"


def described(service: Service, rules: Sequence[DestinationRule], subset: Subset | None = None) -> dict[str, Any]:
    """What telemetry and tools learn of a cluster, as its fields: service, rule and subset."""
    found = {}
    if rules:
        found["config"] = names.config_path("destination-rule", rules[0].metadata)
    if subset is not None:
        found["subset"] = subset.name
    return {
        "services": (called(service),),
        "external": service.external and subset is None,  # Istio says it of a service's own clusters alone
        "metadata": tuple(sorted(found.items())),
    }


def called(service: Service) -> ServiceName:
    """A service as the metadata of clusters name it."""
    return ServiceName(service.hostname, service.name or service.hostname, service.namespace)


def _with_tls(
    scope: Scope, cluster: Cluster, service: Service, port: ServicePort, subset: Subset | None, settings: Settings
) -> Cluster:
    """As the DestinationRule says; where it says nothing, mutual TLS to whoever takes it (Istio's auto mTLS)."""
    named = forward_proxies.is_named(service)
    sni = "" if named else names.sni(port.number, subset.name if subset else "", service.hostname)
    accounts = () if named else identities(scope, service)
    http2 = cluster.http.protocol == "http2"
    asked = settings.tls
    files = _client_files(scope, service, asked)
    if asked is None:
        dialled = cluster.type is ClusterType.ORIGINAL_DST
        own = traffic_policies.general(scope.destination_rules(service)) if subset is None else subset.traffic_policy
        alike = _passes(own) or service.headless or service.resolution is Resolution.NONE
        off = (
            scope.proxy.plain
            or not scope.world.mesh.enable_auto_mtls
            or (alike and not _all_mutual(scope, service, port))
        )
        if off or service.external or mtls_of_namespace(scope.world, service.namespace) is TlsMode.DISABLE:
            return cluster
        if files is not None:
            files = files.model_copy(update={"sni": sni})
            return client_tls.to_host(scope, cluster, files, accounts)
        mutual = tls.mutual_client(sni, accounts, http2=http2)
        if dialled:
            return replace(cluster, tls=mutual)
        matches = (
            TransportSocketMatch("tlsMode-istio", (("tlsMode", "istio"),), mutual),
            TransportSocketMatch("tlsMode-disabled", (), RawBuffer()),
        )
        return replace(cluster, tls_matches=matches)
    if asked.mode == "ISTIO_MUTUAL" and files is None:
        names_ = asked.subject_alt_names or accounts
        return replace(cluster, tls=tls.mutual_client(asked.sni or sni, names_, http2=http2))
    marked = cluster
    if asked.mode in TO_HOSTS:
        marked = replace(cluster, metadata=client_tls.without_mesh_alpn(cluster))
    if files is not None:
        return client_tls.to_host(scope, marked, files, ())
    if asked.mode in TO_HOSTS:
        known = () if service.of_kubernetes else accounts
        return client_tls.to_host(scope, marked, asked, known)
    return cluster


def _client_files(scope: Scope, service: Service, asked: policy.ClientTls | None) -> policy.ClientTls | None:
    """TLS with the files that are mounted beside the proxy, which count before what a rule for hosts of the mesh says of
    certificates; ``None``: there are none, or they are not for these hosts."""
    certificate, key, roots = scope.proxy.client_files
    if not certificate or service.external or (asked is not None and asked.mode not in ("MUTUAL", "ISTIO_MUTUAL")):
        return None
    said = {} if asked is None else {"sni": asked.sni, "insecure_skip_verify": asked.insecure_skip_verify}
    names_ = None if asked is None else asked.subject_alt_names
    made = policy.ClientTls(
        mode="MUTUAL", client_certificate=certificate, private_key=key, ca_certificates=roots or None
    )
    return made.model_copy(update={**said, "subject_alt_names": names_})


def _announcing(cluster: Cluster, asked: policy.ProxyProtocol | None) -> Cluster:
    """The cluster with a header before each connection that says whose it is, however it is made."""
    if asked is None:
        return cluster

    def wrapped(socket: UpstreamSocket | None) -> UpstreamProxyProtocol:
        inner = None if isinstance(socket, UpstreamProxyProtocol) else socket
        return UpstreamProxyProtocol(asked.version or "V1", inner)

    matches = tuple(replace(match, socket=wrapped(match.socket)) for match in cluster.tls_matches)
    if cluster.tls is None and matches:
        return replace(cluster, tls_matches=matches)
    return replace(cluster, tls=wrapped(cluster.tls), tls_matches=matches)


def _all_mutual(scope: Scope, service: Service, port: ServicePort) -> bool:
    """Whether every host takes mutual TLS: where the host is the address that was dialled, nothing tells them apart."""
    hosts = [w.mutual_tls for w in scope.world.members_of(service) if w.port(port)]
    return bool(hosts) and all(hosts)


def identities(scope: Scope, service: Service) -> tuple[str, ...]:
    """The names in the certificates of a service's workloads."""
    members = scope.world.members_of(service)
    return scope.shared("identities", (service, members), partial(_identities, scope.world, service))


def _identities(world: World, service: Service) -> tuple[str, ...]:
    accounts = {(w.namespace, w.service_account) for w in world.members_of(service) if w.service_account}
    accounts |= {(service.namespace, account) for account in service.accounts}
    own, *aliases = world.trust_domains
    found = {f"spiffe://{own}/ns/{namespace}/sa/{account}" for namespace, account in accounts}
    found |= set(service.subject_alt_names)
    paths = [match[1] for name in found if (match := _IDENTITY.fullmatch(name)) is not None]
    return tuple(sorted(found | {f"spiffe://{domain}/{path}" for path in paths for domain in aliases}))


def _original_destination(cluster: Cluster, port: ServicePort | None = None) -> Cluster:
    cluster = replace(cluster, type=ClusterType.ORIGINAL_DST, lb_policy=LbPolicy.CLUSTER_PROVIDED, eds_service_name="")
    cluster = replace(
        cluster,
        dns_jitter=None,
        dns_max_queries=None,
        dns_refresh_rate=_NO_NAMES.dns_refresh_rate,
        dns_lookup_family=_NO_NAMES.dns_lookup_family,
    )
    override = port.override or None if port is not None else None
    return replace(cluster, cleanup_interval=defaults.IDLE_ENDPOINT_TTL, original_dst_port=override)


def _with_balancer(cluster: Cluster, balancer: policy.LoadBalancer | None) -> Cluster:
    if balancer is None or cluster.lb_policy is LbPolicy.CLUSTER_PROVIDED:
        return cluster
    if balancer.simple == "PASSTHROUGH":
        return replace(_original_destination(cluster), load_assignment=None)
    if balancer.consistent_hash is not None:
        return _with_hash(cluster, balancer.consistent_hash)
    lb_policy = SIMPLE[balancer.simple or "UNSPECIFIED"]
    if lb_policy is LbPolicy.RANDOM:
        return replace(cluster, lb_policy=lb_policy)
    return replace(cluster, lb_policy=lb_policy, slow_start=_slow_start(balancer))


def _with_localities(
    scope: Scope, cluster: Cluster, service: Service, port: ServicePort, subset: Subset | None, settings: Settings
) -> Cluster:
    """Whether localities have weights of their own, and, where the cluster has its hosts within, these in their order."""
    found = locality.rule(scope.world.mesh, settings.load_balancer, service)
    if found is None or cluster.type is ClusterType.FORWARD_PROXY:
        return cluster
    watched, setting = settings.outlier_detection is not None, found.setting
    if cluster.load_assignment is not None:
        hosts = endpoints.assignment(scope, service, port, subset, watched=watched)
        cluster = replace(cluster, load_assignment=hosts)
    if isinstance(setting, ZoneAwareLbSetting):
        never = None if found.forced else 0.0
        return replace(cluster, zone_aware=ZoneAware(never, setting.min_cluster_size))
    failing_over = (found.forced or watched) and bool(setting.failover or setting.failover_priority)
    return replace(cluster, locality_weighted=failing_over or bool(setting.distribute))


def _slow_start(balancer: policy.LoadBalancer) -> SlowStart | None:
    if balancer.warmup is not None:
        warmup = balancer.warmup
        return SlowStart(
            warmup.duration.total_seconds(), _or(warmup.aggression, 1.0), _or(warmup.minimum_percent, 10.0)
        )
    if balancer.warmup_duration_secs is not None:
        return SlowStart(balancer.warmup_duration_secs.total_seconds())
    return None


def _with_hash(cluster: Cluster, hashed: policy.ConsistentHash) -> Cluster:
    if hashed.maglev is not None:
        size = hashed.maglev.table_size or 65537
        return replace(cluster, lb_policy=LbPolicy.MAGLEV, ring_hash=RingHashConfig(table_size=size))
    if hashed.ring_hash is not None:
        size = hashed.ring_hash.minimum_ring_size or 0
        ring = RingHashConfig(minimum_ring_size=size) if size else None  # which is Envoy's own, as many
        return replace(cluster, lb_policy=LbPolicy.RING_HASH, ring_hash=ring)
    ring = RingHashConfig(minimum_ring_size=hashed.minimum_ring_size or 1024)
    return replace(cluster, lb_policy=LbPolicy.RING_HASH, ring_hash=ring)


def _or(value: T | None, default: T) -> T:
    return default if value is None else value


def _seconds(value: timedelta | None) -> float | None:
    return None if value is None else value.total_seconds()


def _with_outliers(cluster: Cluster, service: Service, outliers: policy.OutlierDetection | None) -> Cluster:
    """Istio's reading of the block: what is unset has its defaults, a count of 0 switches that detector off."""
    if outliers is None:
        return cluster
    errors = _or(outliers.consecutive_5xx_errors, 5)
    gateway = outliers.consecutive_gateway_errors or 0
    local = outliers.consecutive_local_origin_failures or 5
    detection = OutlierDetection(
        consecutive_5xx=errors or 5,
        enforcing_consecutive_5xx=100 if errors else 0,
        consecutive_gateway_failure=gateway or 5,
        enforcing_consecutive_gateway_failure=100 if gateway else 0,
        consecutive_local_origin_failure=local,
        enforcing_consecutive_local_origin_failure=100,
        interval=_or(_seconds(outliers.interval), 10.0),
        base_ejection_time=_or(_seconds(outliers.base_ejection_time), 30.0),
        max_ejection_percent=outliers.max_ejection_percent or 10,
        split_external_local_origin_errors=bool(outliers.split_external_local_origin_errors),
    )
    if cluster.type is ClusterType.FORWARD_PROXY:
        return replace(cluster, outlier_detection=detection)
    panic = 0.0 if service.near else float(outliers.min_health_percent or 0)
    return replace(cluster, outlier_detection=detection, healthy_panic_threshold=panic)


def black_hole(scope: Scope) -> Cluster:
    """The cluster without hosts."""

    def made() -> Cluster:
        return Cluster(
            defaults.BLACK_HOLE,
            ClusterType.STATIC,
            connect_timeout=scope.world.mesh.connect_timeout.total_seconds(),
            alt_stat_name=names.statistics(defaults.BLACK_HOLE),
        )

    return scope.shared("black hole", (), made)


def passthrough(scope: Scope) -> Cluster:
    """Whatever address was dialled."""

    def made() -> Cluster:
        cluster = Cluster(
            defaults.PASSTHROUGH,
            ClusterType.ORIGINAL_DST,
            defaults.CONNECT_TIMEOUT,
            LbPolicy.CLUSTER_PROVIDED,
            thresholds=defaults.THRESHOLDS,
            http=HttpProtocolOptions("downstream", idle_timeout=defaults.IDLE_CONNECTION_TTL),
            cleanup_interval=defaults.IDLE_ENDPOINT_TTL,
            alt_stat_name=names.statistics(defaults.PASSTHROUGH),
        )
        return connection_pools.of_the_mesh(scope.world.mesh, cluster)

    return scope.shared("passthrough", (), made)


def inbound_passthrough(scope: Scope) -> Cluster:
    """A port of the application that no service names."""
    cluster = passthrough(scope)
    named = partial(
        replace,
        cluster,
        name=defaults.INBOUND_PASSTHROUGH,
        bind_address=outbound_policy.loop_breaker(scope.proxy),
        extra_bind_addresses=outbound_policy.loop_breakers_besides(scope.proxy),
    )
    return scope.shared(("inbound passthrough", scope.proxy.families), (cluster,), named)

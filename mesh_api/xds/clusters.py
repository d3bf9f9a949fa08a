"""Clusters (``cluster.v3.Cluster``)."""

from typing import Any, Final

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import address_pb2, config_source_pb2
from envoy.type.v3 import percent_pb2

from mesh_api.config.clusters import (
    Cluster,
    ClusterType,
    LbPolicy,
    ServiceName,
    ZoneAware,
)
from mesh_api.config.forward_proxy import DnsCache
from mesh_api.xds.endpoints import decode_assignment, encode_assignment
from mesh_api.xds.errors import EncodeError
from mesh_api.xds.fields import Fields
from mesh_api.xds.forward_proxy import decode_cluster_type, encode_cluster_type
from mesh_api.xds.health_checks import decode_health_check, encode_health_check
from mesh_api.xds.http_protocol import decode_http_protocol, encode_http_protocol
from mesh_api.xds.ignored import IGNORED_TYPES
from mesh_api.xds.labels import decode_subsets, encode_subsets
from mesh_api.xds.load_balancing import decode_load_balancing, encode_load_balancing
from mesh_api.xds.resilience import (
    decode_breakers,
    decode_outlier_detection,
    encode_outlier_detection,
    encode_thresholds,
)
from mesh_api.xds.resolvers import decode_failure_rate, decode_resolver, encode_failure_rate, encode_resolver
from mesh_api.xds.tls import decode_socket_match, decode_upstream, encode_socket, encode_socket_match
from mesh_api.xds.values import (
    as_texts,
    duration,
    metadata,
    percent_of,
    read_values,
    seconds,
    type_name,
    uint32,
)

PANIC_THRESHOLD: Final = 50.0
"""Envoy's default, in percent."""

WITHOUT_HOSTS: Final = (ClusterType.EDS, ClusterType.ORIGINAL_DST, ClusterType.FORWARD_PROXY)
"""Whose hosts are nothing that the cluster lists."""
DNS_TYPES: Final = frozenset({ClusterType.STRICT_DNS, ClusterType.LOGICAL_DNS})
CONNECT_TIMEOUT, CLEANUP_INTERVAL, DNS_REFRESH_RATE = 5.0, 5.0, 5.0
"""Envoy's defaults, in seconds."""

_DEFAULT = Cluster("", ClusterType.STATIC)


def encode_cluster(cluster: Cluster) -> Any:
    """``Cluster``. Raises :class:`EncodeError` for a setting that belongs to another type of cluster."""
    _check(cluster)
    message = cluster_pb2.Cluster(
        name=cluster.name,
        alt_stat_name=cluster.alt_stat_name,
        connect_timeout=duration(cluster.connect_timeout),
        metadata=_encode_metadata(cluster),
        transport_socket_matches=[encode_socket_match(match) for match in cluster.tls_matches],
        typed_extension_protocol_options=encode_http_protocol(cluster.http),
    )
    if cluster.dns_cache is not None:
        insecure = cluster.allow_insecure_options
        message.cluster_type.CopyFrom(encode_cluster_type(cluster.dns_cache, insecure=insecure))
    else:
        message.type = cluster_pb2.Cluster.DiscoveryType.Value(cluster.type.value)
    encode_load_balancing(cluster, message)
    _encode_hosts(cluster, message)
    if cluster.thresholds is not None:
        message.circuit_breakers.thresholds.append(encode_thresholds(cluster.thresholds))
    if cluster.high_thresholds is not None:
        message.circuit_breakers.thresholds.append(encode_thresholds(cluster.high_thresholds, "HIGH"))
    if cluster.max_connections_per_host is not None:
        message.circuit_breakers.per_host_thresholds.add().max_connections.value = cluster.max_connections_per_host
    if cluster.outlier_detection is not None:
        message.outlier_detection.CopyFrom(encode_outlier_detection(cluster.outlier_detection))
    if cluster.healthy_panic_threshold != PANIC_THRESHOLD:
        message.common_lb_config.healthy_panic_threshold.CopyFrom(
            percent_pb2.Percent(value=cluster.healthy_panic_threshold)
        )
    _encode_localities(cluster, message)
    _encode_hashing(cluster, message)
    if cluster.subsets is not None:
        message.lb_subset_config.CopyFrom(encode_subsets(cluster.subsets))
    message.health_checks.extend(encode_health_check(check) for check in cluster.health_checks)
    message.ignore_health_on_host_removal = cluster.ignore_health_on_host_removal
    if cluster.ignore_new_hosts_until_first_hc:
        message.common_lb_config.ignore_new_hosts_until_first_hc = True
    if cluster.tls is not None:
        message.transport_socket.CopyFrom(encode_socket(cluster.tls))
    _encode_connections(cluster, message)
    return message


def _encode_hashing(cluster: Cluster, message: Any) -> None:
    config = message.common_lb_config.consistent_hashing_lb_config
    if cluster.use_hostname_for_hashing:
        config.use_hostname_for_hashing = True
    if cluster.hash_balance_factor:
        config.hash_balance_factor.value = cluster.hash_balance_factor


def _encode_localities(cluster: Cluster, message: Any) -> None:
    if cluster.locality_weighted:
        message.common_lb_config.locality_weighted_lb_config.SetInParent()
    if cluster.zone_aware is None:
        return
    zones, found = message.common_lb_config.zone_aware_lb_config, cluster.zone_aware
    zones.SetInParent()
    if found.routing_enabled is not None:
        zones.routing_enabled.CopyFrom(percent_pb2.Percent(value=found.routing_enabled))
    if found.min_cluster_size is not None:
        zones.min_cluster_size.value = found.min_cluster_size
    zones.fail_traffic_on_panic = found.fail_traffic_on_panic


def _encode_metadata(cluster: Cluster) -> Any:
    found: dict[str, Any] = dict(cluster.metadata)
    if cluster.services:
        found["services"] = [
            {"host": service.host, "name": service.name, "namespace": service.namespace} for service in cluster.services
        ]
    if cluster.external:
        found["external"] = True
    return metadata(found)


def _decode_metadata(fields: Fields | None) -> dict[str, Any]:
    found = read_values(fields)
    listed = found.get("services")
    named = [_service_name(value) for value in listed] if isinstance(listed, list) else []
    names = tuple(name for name in named if name is not None)
    if names and len(names) == len(named):
        del found["services"]
    else:
        names = ()
    external = found.pop("external") if found.get("external") is True else False
    return {"services": names, "external": external, "metadata": as_texts(found)}


def _service_name(value: Any) -> ServiceName | None:
    if isinstance(value, dict) and value.keys() == {"host", "name", "namespace"}:
        return ServiceName(*(str(value[key]) for key in ("host", "name", "namespace")))
    return None


def _check(cluster: Cluster) -> None:
    """Refuses what would be lost on the wire."""
    foreign = {
        "eds_service_name": cluster.eds_service_name and cluster.type is not ClusterType.EDS,
        "load_assignment": cluster.load_assignment and cluster.type in WITHOUT_HOSTS,
        "respect_dns_ttl": not cluster.respect_dns_ttl and cluster.type not in DNS_TYPES,
        "dns_lookup_family": cluster.dns_lookup_family != _DEFAULT.dns_lookup_family and cluster.type not in DNS_TYPES,
        "locality_weighted": cluster.locality_weighted and cluster.zone_aware is not None,
        "use_http_header": cluster.use_http_header and cluster.type is not ClusterType.ORIGINAL_DST,
        "dns_cache": (cluster.dns_cache is not None) != (cluster.type is ClusterType.FORWARD_PROXY),
        "allow_insecure_options": cluster.allow_insecure_options and cluster.type is not ClusterType.FORWARD_PROXY,
    }
    for field, wrong in foreign.items():
        if wrong:
            raise EncodeError(f"cluster {cluster.name}: {field} has no meaning for {cluster.type.value}")


def _encode_hosts(cluster: Cluster, message: Any) -> None:
    if cluster.type is ClusterType.EDS:
        message.eds_cluster_config.service_name = cluster.eds_service_name
        message.eds_cluster_config.eds_config.CopyFrom(ads_source())
    if cluster.load_assignment is not None:
        message.load_assignment.CopyFrom(encode_assignment(cluster.load_assignment))
    if cluster.type in DNS_TYPES:
        message.respect_dns_ttl = cluster.respect_dns_ttl
        message.dns_lookup_family = cluster_pb2.Cluster.DnsLookupFamily.Value(cluster.dns_lookup_family)
    if cluster.dns_jitter is not None:
        message.dns_jitter.CopyFrom(duration(cluster.dns_jitter))
    if cluster.dns_failure_refresh_rate is not None:
        message.dns_failure_refresh_rate.CopyFrom(encode_failure_rate(cluster.dns_failure_refresh_rate))
    if cluster.dns_max_queries is not None or cluster.dns_resolvers:
        resolver = encode_resolver(cluster.dns_resolvers, cluster.dns_max_queries)
        message.typed_dns_resolver_config.CopyFrom(resolver)
    if cluster.type in DNS_TYPES or cluster.dns_refresh_rate != _DEFAULT.dns_refresh_rate:
        message.dns_refresh_rate.CopyFrom(duration(cluster.dns_refresh_rate))
    if cluster.type is ClusterType.ORIGINAL_DST or cluster.cleanup_interval != _DEFAULT.cleanup_interval:
        message.cleanup_interval.CopyFrom(duration(cluster.cleanup_interval))
    if cluster.use_http_header:
        message.original_dst_lb_config.use_http_header = True
        message.original_dst_lb_config.http_header_name = cluster.original_dst_header
    if cluster.original_dst_port is not None:
        message.original_dst_lb_config.upstream_port_override.value = cluster.original_dst_port


def ads_source() -> Any:
    """``ConfigSource``: the stream that carries this very resource."""
    source = config_source_pb2.ConfigSource(resource_api_version=config_source_pb2.ApiVersion.V3)
    source.ads.SetInParent()
    # Applied when complete, however long the stream needs: a fetch that timed out would count as "no hosts".
    source.initial_fetch_timeout.SetInParent()
    return source


def read_ads_source(fields: Fields) -> None:
    """Checks that a ``ConfigSource`` is the aggregated stream."""
    with fields as f:
        kind = f.oneof("config_source_specifier")
        if kind not in ("ads", "self"):
            raise f.error("", f"{kind or 'a missing source'} is not supported, only ads is")
        f.nothing_in(kind)


def _encode_connections(cluster: Cluster, message: Any) -> None:
    if cluster.bind_address:
        message.upstream_bind_config.source_address.CopyFrom(
            address_pb2.SocketAddress(address=cluster.bind_address, port_value=0)
        )
    for address in cluster.extra_bind_addresses:
        extra = message.upstream_bind_config.extra_source_addresses.add()
        extra.address.CopyFrom(address_pb2.SocketAddress(address=address, port_value=0))
    if cluster.tcp_keepalive is not None:
        probes, idle, interval = cluster.tcp_keepalive
        message.upstream_connection_options.tcp_keepalive.CopyFrom(
            address_pb2.TcpKeepalive(
                keepalive_probes=uint32(probes), keepalive_time=uint32(idle), keepalive_interval=uint32(interval)
            )
        )


def decode_cluster(fields: Fields) -> Cluster:
    """From ``Cluster``."""
    with fields as f:
        cluster_type, cache, insecure = _decode_type(f)
        _refuse_filters(f)
        bind_addresses = _decode_bind_addresses(f)
        resolvers, max_queries = decode_resolver(f.optional("typed_dns_resolver_config"))
        return Cluster(
            name=f.text("name"),
            type=cluster_type,
            dns_cache=cache,
            allow_insecure_options=insecure,
            connect_timeout=seconds(f, "connect_timeout", CONNECT_TIMEOUT),
            lb_policy=LbPolicy(f.enum("lb_policy", *(policy.value for policy in LbPolicy))),
            eds_service_name=_decode_eds(f, cluster_type),
            load_assignment=None if (hosts := f.optional("load_assignment")) is None else decode_assignment(hosts),
            **decode_breakers(f),
            subsets=decode_subsets(f.optional("lb_subset_config")),
            health_checks=tuple(decode_health_check(check) for check in f.children("health_checks")),
            ignore_health_on_host_removal=f.flag("ignore_health_on_host_removal"),
            outlier_detection=decode_outlier_detection(f.optional("outlier_detection")),
            **_decode_balance(f),
            http=decode_http_protocol(f),
            bind_address=bind_addresses[0],
            extra_bind_addresses=bind_addresses[1:],
            **_decode_original_dst(f),
            tcp_keepalive=_decode_keepalive(f),
            tls=decode_upstream(f.optional("transport_socket")),
            tls_matches=tuple(decode_socket_match(match) for match in f.children("transport_socket_matches")),
            dns_jitter=f.duration("dns_jitter"),
            dns_failure_refresh_rate=decode_failure_rate(f.optional("dns_failure_refresh_rate")),
            dns_resolvers=resolvers,
            dns_max_queries=max_queries,
            **_decode_metadata(f.optional("metadata")),
            alt_stat_name=f.text("alt_stat_name"),
            **_decode_resolution(f, cluster_type),
            **decode_load_balancing(f),
        )


def _decode_type(fields: Fields) -> tuple[ClusterType, DnsCache | None, bool]:
    if fields.oneof("cluster_discovery_type") != "cluster_type":
        return ClusterType(fields.enum("type")), None, False
    cache, insecure = decode_cluster_type(fields.child("cluster_type"))
    return ClusterType.FORWARD_PROXY, cache, insecure


def _refuse_filters(fields: Fields) -> None:
    for upstream_filter in fields.children("filters"):
        name = type_name(upstream_filter.message.typed_config)
        if name not in IGNORED_TYPES:
            raise upstream_filter.error("typed_config", f"{name or 'a missing type'} is not supported")


def _decode_eds(fields: Fields, cluster_type: ClusterType) -> str:
    config = fields.optional("eds_cluster_config")
    if config is None:
        if cluster_type is ClusterType.EDS:
            raise fields.error("eds_cluster_config", "missing")
        return ""
    with config as c:
        read_ads_source(c.child("eds_config"))
        return c.text("service_name")


def _decode_balance(fields: Fields) -> dict[str, Any]:
    """The fields of :class:`Cluster` that stand in ``common_lb_config``."""
    with fields.child("common_lb_config") as config:
        kind = config.oneof("locality_config_specifier")
        if kind == "locality_weighted_lb_config":
            config.nothing_in(kind)
        with config.child("consistent_hashing_lb_config") as hashing:
            by_name, factor = hashing.flag("use_hostname_for_hashing"), hashing.wrapped_number("hash_balance_factor", 0)
        return {
            "use_hostname_for_hashing": by_name,
            "hash_balance_factor": factor,
            "ignore_new_hosts_until_first_hc": config.flag("ignore_new_hosts_until_first_hc"),
            "healthy_panic_threshold": percent_of(config.optional("healthy_panic_threshold"), PANIC_THRESHOLD),
            "locality_weighted": kind == "locality_weighted_lb_config",
            "zone_aware": _decode_zones(config.child(kind)) if kind == "zone_aware_lb_config" else None,
        }


def _decode_zones(fields: Fields) -> ZoneAware:
    with fields as f:
        return ZoneAware(
            percent_of(f.optional("routing_enabled"), None),
            f.wrapped("min_cluster_size"),
            f.flag("fail_traffic_on_panic"),
        )


def _decode_bind_addresses(fields: Fields) -> tuple[str, ...]:
    """The first one, which may be empty, and those besides."""
    with fields.child("upstream_bind_config") as config:
        found = [_decode_source(config.child("source_address"))]
        for extra in config.children("extra_source_addresses"):
            with extra as f:
                found.append(_decode_source(f.child("address")))
        return tuple(found)


def _decode_source(fields: Fields) -> str:
    with fields as source:
        source.enum("protocol", "TCP")
        if source.number("port_value"):
            raise source.error("port_value", "only 0 is supported")
        return source.text("address")


def _decode_original_dst(fields: Fields) -> dict[str, Any]:
    if fields.oneof("lb_config") != "original_dst_lb_config":
        return {}
    with fields.child("original_dst_lb_config") as config:
        return {
            "use_http_header": config.flag("use_http_header"),
            "original_dst_header": config.text("http_header_name"),
            "original_dst_port": config.wrapped("upstream_port_override"),
        }


def _decode_keepalive(fields: Fields) -> tuple[int | None, int | None, int | None] | None:
    with fields.child("upstream_connection_options") as options:
        keepalive = options.optional("tcp_keepalive")
        if keepalive is None:
            return None
        with keepalive as k:
            return k.wrapped("keepalive_probes"), k.wrapped("keepalive_time"), k.wrapped("keepalive_interval")


def _decode_resolution(fields: Fields, cluster_type: ClusterType) -> dict[str, Any]:
    """What keeps the hosts fresh. Where the type has no use for a field, the dataclass's default stands for "unset"."""
    dns, original_dst = cluster_type in DNS_TYPES, cluster_type is ClusterType.ORIGINAL_DST
    respect_ttl, family = fields.flag("respect_dns_ttl"), fields.enum("dns_lookup_family")
    return {
        "respect_dns_ttl": respect_ttl if dns else _DEFAULT.respect_dns_ttl,
        "dns_lookup_family": family if dns else _DEFAULT.dns_lookup_family,
        "dns_refresh_rate": seconds(fields, "dns_refresh_rate", DNS_REFRESH_RATE if dns else _DEFAULT.dns_refresh_rate),
        "cleanup_interval": seconds(
            fields, "cleanup_interval", CLEANUP_INTERVAL if original_dst else _DEFAULT.cleanup_interval
        ),
    }

"""Clusters (``cluster.v3.Cluster``)."""

from typing import Any, Final, TypeVar

from envoy.config.cluster.v3 import circuit_breaker_pb2, cluster_pb2, outlier_detection_pb2
from envoy.config.core.v3 import address_pb2, config_source_pb2, extension_pb2
from envoy.extensions.network.dns_resolver.cares.v3 import cares_dns_resolver_pb2 as cares_pb2
from envoy.type.v3 import percent_pb2

from mesh_api.config.clusters import (
    CircuitBreakerThresholds,
    Cluster,
    ClusterType,
    LbPolicy,
    OutlierDetection,
    RetryBudget,
    ServiceName,
    ZoneAware,
)
from mesh_api.xds.endpoints import decode_assignment, encode_assignment
from mesh_api.xds.errors import EncodeError
from mesh_api.xds.fields import Fields
from mesh_api.xds.http_protocol import decode_http_protocol, encode_http_protocol
from mesh_api.xds.ignored import IGNORED_TYPES
from mesh_api.xds.load_balancing import decode_load_balancing, encode_load_balancing
from mesh_api.xds.tls import decode_socket_match, decode_upstream, encode_socket, encode_socket_match
from mesh_api.xds.values import as_texts, duration, metadata, pack, read_values, type_name, uint32, unpack

T = TypeVar("T")

CARES: Final = "envoy.network.dns_resolver.cares"
PANIC_THRESHOLD: Final = 50.0
"""Envoy's default, in percent."""

DNS_TYPES: Final = frozenset({ClusterType.STRICT_DNS, ClusterType.LOGICAL_DNS})
CONNECT_TIMEOUT, CLEANUP_INTERVAL, DNS_REFRESH_RATE = 5.0, 5.0, 5.0
"""Envoy's defaults, in seconds."""

_DEFAULT = Cluster("", ClusterType.STATIC)
_THRESHOLDS = ("max_connections", "max_pending_requests", "max_requests", "max_retries")
_OUTLIER_TIMES = ("interval", "base_ejection_time", "max_ejection_time")
_OUTLIER_NUMBERS: Final = {
    "consecutive_5xx": 5,
    "consecutive_gateway_failure": 5,
    "consecutive_local_origin_failure": 5,
    "max_ejection_percent": 10,
    "enforcing_consecutive_5xx": 100,
    "enforcing_consecutive_gateway_failure": 0,
    "enforcing_consecutive_local_origin_failure": 100,
    "enforcing_success_rate": 100,
}
"""Field to Envoy's default. All are written, so that a reader's own defaults do not matter."""


def encode_cluster(cluster: Cluster) -> Any:
    """``Cluster``. Raises :class:`EncodeError` for a setting that belongs to another type of cluster."""
    _check(cluster)
    message = cluster_pb2.Cluster(
        name=cluster.name,
        alt_stat_name=cluster.alt_stat_name,
        type=cluster_pb2.Cluster.DiscoveryType.Value(cluster.type.value),
        connect_timeout=duration(cluster.connect_timeout),
        metadata=_encode_metadata(cluster),
        transport_socket_matches=[encode_socket_match(match) for match in cluster.tls_matches],
        typed_extension_protocol_options=encode_http_protocol(cluster.http),
    )
    encode_load_balancing(cluster, message)
    _encode_hosts(cluster, message)
    if cluster.thresholds is not None:
        message.circuit_breakers.thresholds.append(_encode_thresholds(cluster.thresholds))
    if cluster.outlier_detection is not None:
        message.outlier_detection.CopyFrom(_encode_outlier_detection(cluster.outlier_detection))
    if cluster.healthy_panic_threshold != PANIC_THRESHOLD:
        message.common_lb_config.healthy_panic_threshold.CopyFrom(
            percent_pb2.Percent(value=cluster.healthy_panic_threshold)
        )
    _encode_localities(cluster, message)
    if cluster.tls is not None:
        message.transport_socket.CopyFrom(encode_socket(cluster.tls))
    _encode_connections(cluster, message)
    return message


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
        "load_assignment": cluster.load_assignment and cluster.type in (ClusterType.EDS, ClusterType.ORIGINAL_DST),
        "respect_dns_ttl": not cluster.respect_dns_ttl and cluster.type not in DNS_TYPES,
        "dns_lookup_family": cluster.dns_lookup_family != _DEFAULT.dns_lookup_family and cluster.type not in DNS_TYPES,
        "locality_weighted": cluster.locality_weighted and cluster.zone_aware is not None,
        "use_http_header": cluster.use_http_header and cluster.type is not ClusterType.ORIGINAL_DST,
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
    if cluster.dns_max_queries is not None:
        resolver = cares_pb2.CaresDnsResolverConfig(udp_max_queries=uint32(cluster.dns_max_queries))
        message.typed_dns_resolver_config.CopyFrom(
            extension_pb2.TypedExtensionConfig(name=CARES, typed_config=pack(resolver))
        )
    if cluster.type in DNS_TYPES or cluster.dns_refresh_rate != _DEFAULT.dns_refresh_rate:
        message.dns_refresh_rate.CopyFrom(duration(cluster.dns_refresh_rate))
    if cluster.type is ClusterType.ORIGINAL_DST or cluster.cleanup_interval != _DEFAULT.cleanup_interval:
        message.cleanup_interval.CopyFrom(duration(cluster.cleanup_interval))
    if cluster.use_http_header:
        message.original_dst_lb_config.use_http_header = True


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


def _encode_thresholds(thresholds: CircuitBreakerThresholds) -> Any:
    message = circuit_breaker_pb2.CircuitBreakers.Thresholds(
        **{field: uint32(getattr(thresholds, field)) for field in _THRESHOLDS}
    )
    budget = thresholds.retry_budget
    if budget is not None:
        message.retry_budget.budget_percent.value = budget.percent
        message.retry_budget.min_retry_concurrency.value = budget.min_concurrency
    return message


def _encode_outlier_detection(detection: OutlierDetection) -> Any:
    return outlier_detection_pb2.OutlierDetection(
        **{field: duration(getattr(detection, field)) for field in _OUTLIER_TIMES},
        **{field: uint32(getattr(detection, field)) for field in _OUTLIER_NUMBERS},
        enforcing_local_origin_success_rate=uint32(0),
        split_external_local_origin_errors=detection.split_external_local_origin_errors,
    )


def decode_cluster(fields: Fields) -> Cluster:
    """From ``Cluster``."""
    with fields as f:
        if f.oneof("cluster_discovery_type") == "cluster_type":
            raise f.error("cluster_type", "not supported")
        _refuse_filters(f)
        cluster_type = ClusterType(f.enum("type"))
        bind_addresses = _decode_bind_addresses(f)
        return Cluster(
            name=f.text("name"),
            type=cluster_type,
            connect_timeout=_seconds(f, "connect_timeout", CONNECT_TIMEOUT),
            lb_policy=LbPolicy(f.enum("lb_policy", *(policy.value for policy in LbPolicy))),
            eds_service_name=_decode_eds(f, cluster_type),
            load_assignment=None if (hosts := f.optional("load_assignment")) is None else decode_assignment(hosts),
            thresholds=_decode_thresholds(f),
            outlier_detection=_decode_outlier_detection(f.optional("outlier_detection")),
            **_decode_balance(f),
            http=decode_http_protocol(f),
            bind_address=bind_addresses[0],
            extra_bind_addresses=bind_addresses[1:],
            use_http_header=_decode_original_dst(f),
            tcp_keepalive=_decode_keepalive(f),
            tls=decode_upstream(f.optional("transport_socket")),
            tls_matches=tuple(decode_socket_match(match) for match in f.children("transport_socket_matches")),
            dns_jitter=f.duration("dns_jitter"),
            dns_max_queries=_decode_resolver(f.optional("typed_dns_resolver_config")),
            **_decode_metadata(f.optional("metadata")),
            alt_stat_name=f.text("alt_stat_name"),
            **_decode_resolution(f, cluster_type),
            **decode_load_balancing(f),
        )


def _seconds(fields: Fields, field: str, default: float) -> float:
    value = fields.duration(field)
    return default if value is None else value


def _refuse_filters(fields: Fields) -> None:
    for upstream_filter in fields.children("filters"):
        name = type_name(upstream_filter.message.typed_config)
        if name not in IGNORED_TYPES:
            raise upstream_filter.error("typed_config", f"{name or 'a missing type'} is not supported")


def _decode_resolver(fields: Fields | None) -> int | None:
    """Of another resolver nothing is asked: the system's is used."""
    if fields is None:
        return None
    with fields as f:
        f.text("name")
        if type_name(f.message.typed_config) != cares_pb2.CaresDnsResolverConfig.DESCRIPTOR.full_name:
            f.take("typed_config")
            return None
        _, resolver = unpack(f.child("typed_config"), (cares_pb2.CaresDnsResolverConfig,))
        with resolver as r:
            queries: int | None = r.wrapped("udp_max_queries")
            return queries


def _decode_eds(fields: Fields, cluster_type: ClusterType) -> str:
    config = fields.optional("eds_cluster_config")
    if config is None:
        if cluster_type is ClusterType.EDS:
            raise fields.error("eds_cluster_config", "missing")
        return ""
    with config as c:
        read_ads_source(c.child("eds_config"))
        return c.text("service_name")


def _decode_thresholds(fields: Fields) -> CircuitBreakerThresholds | None:
    with fields.child("circuit_breakers") as breakers:
        found = [_decode_priority(thresholds) for thresholds in breakers.children("thresholds")]
        if len(found) > 1:
            raise breakers.error("thresholds", "only one entry is supported")
        return found[0] if found else None


def _decode_priority(fields: Fields) -> CircuitBreakerThresholds:
    with fields as f:
        f.enum("priority", "DEFAULT")
        defaults = CircuitBreakerThresholds()
        return CircuitBreakerThresholds(
            **{name: f.wrapped_number(name, getattr(defaults, name)) for name in _THRESHOLDS},
            retry_budget=_decode_budget(f.optional("retry_budget")),
        )


def _decode_budget(fields: Fields | None) -> RetryBudget | None:
    if fields is None:
        return None
    with fields as f:
        return RetryBudget(
            _decode_percent(f.optional("budget_percent"), 20.0),
            f.wrapped_number("min_retry_concurrency", 3),
        )


def _decode_outlier_detection(fields: Fields | None) -> OutlierDetection | None:
    if fields is None:
        return None
    with fields as f:
        split = f.flag("split_external_local_origin_errors")
        if f.wrapped_number("enforcing_local_origin_success_rate", 100) and split:
            raise f.error("enforcing_local_origin_success_rate", "not supported, only 0 is")
        base = _seconds(f, "base_ejection_time", 30.0)
        return OutlierDetection(
            **{name: f.wrapped_number(name, default) for name, default in _OUTLIER_NUMBERS.items()},
            interval=_seconds(f, "interval", 10.0),
            base_ejection_time=base,
            max_ejection_time=_seconds(f, "max_ejection_time", max(300.0, base)),
            split_external_local_origin_errors=split,
        )


def _decode_balance(fields: Fields) -> dict[str, Any]:
    """The fields of :class:`Cluster` that stand in ``common_lb_config``."""
    with fields.child("common_lb_config") as config:
        kind = config.oneof("locality_config_specifier")
        if kind == "locality_weighted_lb_config":
            config.nothing_in(kind)
        return {
            "healthy_panic_threshold": _decode_percent(config.optional("healthy_panic_threshold"), PANIC_THRESHOLD),
            "locality_weighted": kind == "locality_weighted_lb_config",
            "zone_aware": _decode_zones(config.child(kind)) if kind == "zone_aware_lb_config" else None,
        }


def _decode_zones(fields: Fields) -> ZoneAware:
    with fields as f:
        return ZoneAware(_decode_percent(f.optional("routing_enabled"), None), f.wrapped("min_cluster_size"))


def _decode_percent(fields: Fields | None, default: T) -> float | T:
    if fields is None:
        return default
    with fields as percent:
        return float(percent.take("value"))


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


def _decode_original_dst(fields: Fields) -> bool:
    if fields.oneof("lb_config") != "original_dst_lb_config":
        return False
    with fields.child("original_dst_lb_config") as config:
        return config.flag("use_http_header")


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
        "dns_refresh_rate": _seconds(
            fields, "dns_refresh_rate", DNS_REFRESH_RATE if dns else _DEFAULT.dns_refresh_rate
        ),
        "cleanup_interval": _seconds(
            fields, "cleanup_interval", CLEANUP_INTERVAL if original_dst else _DEFAULT.cleanup_interval
        ),
    }

"""Hosts that are named by requests and connections: the cache of names, its filters, and its clusters."""

from typing import Any, Final

from envoy.config.cluster.v3 import cluster_pb2
from envoy.extensions.clusters.dynamic_forward_proxy.v3 import cluster_pb2 as forward_pb2
from envoy.extensions.common.dynamic_forward_proxy.v3 import dns_cache_pb2
from envoy.extensions.filters.http.dynamic_forward_proxy.v3 import dynamic_forward_proxy_pb2 as http_pb2
from envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3 import sni_dynamic_forward_proxy_pb2 as sni_pb2

from mesh_api.config.forward_proxy import DnsCache, ForwardProxyFilter, SniForwardProxy
from mesh_api.xds.fields import Fields
from mesh_api.xds.resolvers import decode_failure_rate, decode_resolver, encode_failure_rate, encode_resolver
from mesh_api.xds.values import duration, pack, uint32, unpack

HTTP_MESSAGE: Final = http_pb2.FilterConfig
SNI_MESSAGE: Final = sni_pb2.FilterConfig
CLUSTER: Final = "envoy.clusters.dynamic_forward_proxy"
_Family: Final = cluster_pb2.Cluster.DnsLookupFamily


def encode_dns_cache(cache: DnsCache) -> Any:
    """``DnsCacheConfig``."""
    message = dns_cache_pb2.DnsCacheConfig(
        name=cache.name,
        dns_lookup_family=_Family.Value(cache.lookup_family),
        max_hosts=uint32(cache.max_hosts),
        dns_refresh_rate=duration(cache.refresh_rate),
        dns_min_refresh_rate=duration(cache.min_refresh_rate),
        host_ttl=duration(cache.host_ttl),
        dns_query_timeout=duration(cache.query_timeout),
    )
    if cache.failure_refresh_rate is not None:
        message.dns_failure_refresh_rate.CopyFrom(encode_failure_rate(cache.failure_refresh_rate))
    if cache.resolvers:
        message.typed_dns_resolver_config.CopyFrom(encode_resolver(cache.resolvers))
    return message


def decode_dns_cache(fields: Fields) -> DnsCache:
    """From ``DnsCacheConfig``."""
    with fields as f:
        return DnsCache(
            name=f.text("name"),
            lookup_family=f.enum("dns_lookup_family"),
            max_hosts=f.wrapped("max_hosts"),
            resolvers=decode_resolver(f.optional("typed_dns_resolver_config"))[0],
            refresh_rate=f.duration("dns_refresh_rate"),
            failure_refresh_rate=decode_failure_rate(f.optional("dns_failure_refresh_rate")),
            min_refresh_rate=f.duration("dns_min_refresh_rate"),
            host_ttl=f.duration("host_ttl"),
            query_timeout=f.duration("dns_query_timeout"),
        )


def encode_http_forward_proxy(config: ForwardProxyFilter) -> Any:
    """``filters.http.dynamic_forward_proxy.v3.FilterConfig``."""
    return http_pb2.FilterConfig(dns_cache_config=encode_dns_cache(config.cache))


def decode_http_forward_proxy(fields: Fields) -> ForwardProxyFilter:
    """From ``filters.http.dynamic_forward_proxy.v3.FilterConfig``."""
    with fields as f:
        if (kind := f.oneof("implementation_specifier")) != "dns_cache_config":
            raise f.error("", f"{kind or 'a missing cache'} is not supported")
        return ForwardProxyFilter(decode_dns_cache(f.child("dns_cache_config")))


def encode_sni_forward_proxy(config: SniForwardProxy) -> Any:
    """``filters.network.sni_dynamic_forward_proxy.v3.FilterConfig``."""
    message = sni_pb2.FilterConfig(dns_cache_config=encode_dns_cache(config.cache))
    if config.port is not None:
        message.port_value = config.port
    return message


def decode_sni_forward_proxy(fields: Fields) -> SniForwardProxy:
    """From ``filters.network.sni_dynamic_forward_proxy.v3.FilterConfig``."""
    with fields as f:
        port = f.number("port_value") if f.oneof("port_specifier") is not None else None
        return SniForwardProxy(decode_dns_cache(f.child("dns_cache_config")), port)


def encode_cluster_type(cache: DnsCache, *, insecure: bool) -> Any:
    """``Cluster.CustomClusterType`` of a cluster whose hosts come from the cache."""
    config = forward_pb2.ClusterConfig(
        dns_cache_config=encode_dns_cache(cache), allow_insecure_cluster_options=insecure
    )
    return cluster_pb2.Cluster.CustomClusterType(name=CLUSTER, typed_config=pack(config))


def decode_cluster_type(fields: Fields) -> tuple[DnsCache, bool]:
    """From ``Cluster.CustomClusterType``; other types of their own are errors."""
    with fields as f:
        f.text("name")
        _, config = unpack(f.child("typed_config"), (forward_pb2.ClusterConfig,))
        with config as c:
            if (kind := c.oneof("cluster_implementation_specifier")) != "dns_cache_config":
                raise c.error("", f"{kind or 'a missing cache'} is not supported")
            return decode_dns_cache(c.child("dns_cache_config")), c.flag("allow_insecure_cluster_options")

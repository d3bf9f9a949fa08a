"""The TCP proxy (``tcp_proxy.v3.TcpProxy``)."""

from typing import Any, Final

from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from envoy.type.v3 import hash_policy_pb2

from mesh_api.config.listeners import TcpProxy, Tunnel
from mesh_api.config.routes import WeightedCluster
from mesh_api.xds.access_logs import decode_access_log, encode_access_log
from mesh_api.xds.errors import EncodeError
from mesh_api.xds.fields import Fields
from mesh_api.xds.values import duration, uint32

MESSAGE: Final = tcp_proxy_pb2.TcpProxy


def encode_tcp_proxy(proxy: TcpProxy) -> Any:
    """``TcpProxy``."""
    if bool(proxy.cluster) == bool(proxy.weighted_clusters):
        raise EncodeError("a TCP proxy needs either a cluster or weighted clusters")
    message = tcp_proxy_pb2.TcpProxy(
        stat_prefix=proxy.stat_prefix,
        access_log=[encode_access_log(log) for log in proxy.access_logs],
        idle_timeout=duration(proxy.idle_timeout),
        max_connect_attempts=uint32(proxy.max_connect_attempts, unless=1),
        max_downstream_connection_duration=duration(proxy.max_connection_duration),
    )
    if proxy.hash_source_ip:
        message.hash_policy.add(source_ip=hash_policy_pb2.HashPolicy.SourceIp())
    if proxy.tunnel is not None:
        message.tunneling_config.hostname = proxy.tunnel.hostname
        message.tunneling_config.use_post = proxy.tunnel.use_post
    if proxy.cluster:
        message.cluster = proxy.cluster
    for cluster in proxy.weighted_clusters:
        if cluster != WeightedCluster(cluster.name, cluster.weight):
            raise EncodeError(f"weighted cluster {cluster.name}: a TCP proxy edits no headers")
        message.weighted_clusters.clusters.add(name=cluster.name, weight=cluster.weight)
    return message


def decode_tcp_proxy(fields: Fields) -> TcpProxy:
    """From ``TcpProxy``."""
    with fields as f:
        if f.oneof("cluster_specifier") is None:
            raise f.error("", "a missing destination is not supported")
        with f.child("weighted_clusters") as weighted:
            clusters = tuple(_decode_weighted(cluster) for cluster in weighted.children("clusters"))
        return TcpProxy(
            stat_prefix=f.text("stat_prefix"),
            cluster=f.text("cluster"),
            weighted_clusters=clusters,
            access_logs=tuple(decode_access_log(log) for log in f.children("access_log")),
            idle_timeout=f.duration("idle_timeout"),
            max_connect_attempts=f.wrapped_number("max_connect_attempts", 1),
            max_connection_duration=f.duration("max_downstream_connection_duration"),
            hash_source_ip=_decode_hashes(f),
            tunnel=_decode_tunnel(f.optional("tunneling_config")),
        )


def _decode_tunnel(fields: Fields | None) -> Tunnel | None:
    if fields is None:
        return None
    with fields as f:
        return Tunnel(f.text("hostname"), f.flag("use_post"))


def _decode_hashes(fields: Fields) -> bool:
    """Whether the client's address is hashed; nothing else can be."""
    found = False
    for policy in fields.children("hash_policy"):
        with policy as p:
            kind = p.oneof("policy_specifier")
            if kind != "source_ip":
                raise p.error("", f"{kind or 'a missing policy'} is not supported")
            p.nothing_in(kind)
            found = True
    return found


def _decode_weighted(fields: Fields) -> WeightedCluster:
    with fields as f:
        return WeightedCluster(f.text("name"), f.number("weight"))

"""Which servers of names are asked, and how (``network.dns_resolver.cares.v3``); and when again, after a failure."""

from collections.abc import Sequence
from typing import Any, Final

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import extension_pb2
from envoy.extensions.network.dns_resolver.cares.v3 import cares_dns_resolver_pb2 as cares_pb2

from mesh_api.config.sockets import SocketAddress
from mesh_api.xds.addresses import decode_address, encode_address
from mesh_api.xds.fields import Fields
from mesh_api.xds.values import duration, pack, seconds, type_name, uint32, unpack

CARES: Final = "envoy.network.dns_resolver.cares"
_BASE: Final = 5.0
"""Envoy's, in seconds; without a longest pause it is ten times the first one."""


def encode_resolver(servers: Sequence[SocketAddress], max_queries: int | None = None) -> Any:
    """``TypedExtensionConfig`` of a resolver; ``max_queries`` on one socket, after which another is opened."""
    resolver = cares_pb2.CaresDnsResolverConfig(
        udp_max_queries=uint32(max_queries), resolvers=[encode_address(address) for address in servers]
    )
    return extension_pb2.TypedExtensionConfig(name=CARES, typed_config=pack(resolver))


def decode_resolver(fields: Fields | None) -> tuple[tuple[SocketAddress, ...], int | None]:
    """The same of a ``TypedExtensionConfig``. Of another resolver nothing is asked: the system's is used."""
    if fields is None:
        return (), None
    with fields as f:
        f.text("name")
        if type_name(f.message.typed_config) != cares_pb2.CaresDnsResolverConfig.DESCRIPTOR.full_name:
            f.take("typed_config")
            return (), None
        _, resolver = unpack(f.child("typed_config"), (cares_pb2.CaresDnsResolverConfig,))
        with resolver as r:
            servers = []
            for address in r.children("resolvers"):
                server = decode_address(address)
                if not isinstance(server, SocketAddress):
                    raise r.error("resolvers", "a pipe is not supported")
                servers.append(server)
            return tuple(servers), r.wrapped("udp_max_queries")


def encode_failure_rate(rate: tuple[float, float]) -> Any:
    """``Cluster.RefreshRate``: the first pause and the longest one, in seconds."""
    base, longest = rate
    return cluster_pb2.Cluster.RefreshRate(base_interval=duration(base), max_interval=duration(longest))


def decode_failure_rate(fields: Fields | None) -> tuple[float, float] | None:
    """From ``Cluster.RefreshRate``."""
    if fields is None:
        return None
    with fields as f:
        base = seconds(f, "base_interval", _BASE)
        return base, seconds(f, "max_interval", base * 10)

"""Hosts that each request or connection names by itself (Envoy's dynamic forward proxy, ``common.dynamic_forward_proxy.v3``).

The filter that reads the name and the cluster that the name leads to share a cache; where one of them says something else of
the cache than the other, Envoy takes neither.
"""

from dataclasses import dataclass

from mesh_api.config.sockets import SocketAddress


@dataclass(frozen=True, slots=True)
class DnsCache:
    """Names and their addresses, shared by everything that gives the same ``name`` to it.

    ``lookup_family`` as ``dns_lookup_family`` of a cluster. ``max_hosts``: how many names are kept, ``None`` is Envoy's
    1024. ``resolvers`` are servers of names that are asked in place of the system's.
    """

    name: str
    lookup_family: str = "AUTO"
    max_hosts: int | None = None
    resolvers: tuple[SocketAddress, ...] = ()


@dataclass(frozen=True, slots=True)
class ForwardProxyFilter:
    """``envoy.filters.http.dynamic_forward_proxy``: looks up the host of each request that a route sends to a cluster with
    such a cache."""

    cache: DnsCache


@dataclass(frozen=True, slots=True)
class SniForwardProxy:
    """``envoy.filters.network.sni_dynamic_forward_proxy``: looks up the server name of TLS before a connection goes on, to
    ``port`` of its address (``None``: Envoy's 443)."""

    cache: DnsCache
    port: int | None = None

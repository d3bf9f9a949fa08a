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
    1024. ``resolvers`` are servers of names that are asked in place of the system's. Seconds for the times, ``None`` is
    Envoy's own.
    """

    name: str
    lookup_family: str = "AUTO"
    max_hosts: int | None = None
    resolvers: tuple[SocketAddress, ...] = ()
    refresh_rate: float | None = None
    """Until a name that was not found is asked for again; 60."""
    failure_refresh_rate: tuple[float, float] | None = None
    """The same, at first and at most, in the place of ``refresh_rate``."""
    min_refresh_rate: float | None = None
    """The least that an answer holds; 5."""
    host_ttl: float | None = None
    """After which a name that nobody used is kept no longer; 300."""
    query_timeout: float | None = None
    """In which an answer must have come; 5."""


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

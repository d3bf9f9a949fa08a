"""Hosts that requests and connections name by themselves: their names, looked up on the worker's loop, and kept for a while
(Envoy's ``DnsCacheImpl``).

Who names a host that is not known waits, and nobody else does. When a name is asked for again, and how long one that nobody
uses is kept, is Envoy's: an answer holds as long as it says, but not less than the cache's bound; a name without an address
has none until it is asked for again, and an address that cannot be asked for again stays.
"""

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from string import ascii_letters, digits
from typing import Final

from mesh_api.config import DnsCache, UpstreamProxyProtocol, UpstreamTls
from mesh_proxy import errors
from mesh_proxy.balancing.named import Name
from mesh_proxy.cluster import ClusterRuntime
from mesh_proxy.errors import LocalReply
from mesh_proxy.protocol import dns
from mesh_proxy.routing.authorities import named
from mesh_proxy.telemetry.stats import Counters
from mesh_proxy.worker.lookup import Lookup
from mesh_proxy.worker.loop import Loop, Waiter
from mesh_proxy.worker.name_service import Files
from mesh_proxy.worker.resolver import Random, of_family, pause

_MOST_NAMES: Final = 1024
_REFRESH: Final = 60.0
_LEAST: Final = 5.0
_KEPT: Final = 300.0
_PATIENCE: Final = 5.0
"""Envoy's defaults, in seconds."""
_MISFORMED: Final = "cares_failure:Misformatted domain name"
_HOST_NAME: Final = frozenset(f"{ascii_letters}{digits}-._/*")
"""What a name of a host is written in (c-ares)."""
_LATE: Final = "resolve_timeout"
_PORT, _TLS_PORT = 80, 443


class NamedHost(Waiter):
    """A name and a port. Fulfils :class:`~mesh_proxy.worker.lookup.Asker`."""

    __slots__ = ("_cache", "addresses", "due", "failures", "lookup", "name", "reason", "resolved", "used", "waiting")

    def __init__(self, cache: "NameCache", name: Name) -> None:
        super().__init__()
        self._cache = cache
        self.name = name
        self.addresses: tuple[str, ...] = ()
        self.reason: str = ""
        """Why there is no address."""
        self.resolved: bool = False
        """Whether the first lookup is over."""
        self.due: float = 0.0
        self.failures: int = 0
        self.used: float = 0.0
        self.lookup: Lookup | None = None
        self.waiting: list[Callable[[], None]] = []
        """Who is to be called when the first lookup is over."""

    def ask(self) -> None:
        """Look the name up."""
        self._cache.ask(self)

    def on_found(self, lookup: Lookup, addresses: Sequence[str], ttl: int) -> None:
        """See :class:`~mesh_proxy.worker.lookup.Asker`."""
        self._cache.found(self, addresses, ttl, f"cares_norecords:{lookup.reason}")

    def on_failed(self, lookup: Lookup) -> None:
        """See :class:`~mesh_proxy.worker.lookup.Asker`."""
        self._cache.failed(self, f"cares_failure:{lookup.reason}")

    def on_deadline(self, now: float) -> None:
        """No answer in time."""
        self._cache.counters.add("dns_query_timeout")
        self._cache.failed(self, _LATE)


class NameCache:
    """The names of one cache."""

    def __init__(self, loop: Loop, files: Files, random: Random, config: DnsCache, counters: Counters) -> None:
        self._loop = loop
        self._files = files
        self._random = random
        self._known: dict[Name, NamedHost] = {}
        self.counters = counters
        self.config = config
        self.configure(config, counters)

    def configure(self, config: DnsCache, counters: Counters) -> None:
        """Take a configuration; what is known stays."""
        self.config, self.counters = config, counters
        self._most: int = _MOST_NAMES if config.max_hosts is None else config.max_hosts
        self._refresh: float = _REFRESH if config.refresh_rate is None else config.refresh_rate
        self._least: float = _LEAST if config.min_refresh_rate is None else config.min_refresh_rate
        self._kept: float = _KEPT if config.host_ttl is None else config.host_ttl
        self._patience: float = _PATIENCE if config.query_timeout is None else config.query_timeout

    def find(self, name: Name) -> NamedHost | None:
        """What is known of a name, which is looked up if nothing is. ``None``: there are as many names as there may be."""
        found = self._known.get(name)
        if found is None:
            if len(self._known) >= self._most:
                self.counters.add("host_overflow")
                return None
            found = self._known[name] = NamedHost(self, name)
            self.counters.add("host_added")
            found.ask()
        found.used = self._loop.now
        return found

    def __len__(self) -> int:
        return len(self._known)

    def knows(self, name: Name) -> bool:
        """Whether a name is kept."""
        return name in self._known

    def ask(self, host: NamedHost) -> None:
        """Look a name up."""
        config, text = self.config, host.name[0]
        self.counters.add("dns_query_attempt")
        system = self._files.read()
        literal = _is_address(text)
        own = of_family([text] if literal else system.hosts.get(text.lower(), ()), config.lookup_family)
        if own:
            self.found(host, own, 0, "")
        elif literal or not _HOST_NAME.issuperset(text) or dns.question(0, text, dns.A) is None:
            self.failed(host, _MISFORMED)
        else:
            servers = [(server.address, server.port) for server in config.resolvers] or system.servers
            host.lookup = Lookup(self._loop, host, system, servers, config.lookup_family)
            self._loop.watch(host, self._loop.now + self._patience)
            host.lookup.start(text)

    def found(self, host: NamedHost, addresses: Sequence[str], ttl: int, reason: str) -> None:
        """Servers have answered; without an address they say that there is none, for this reason."""
        self.counters.add("dns_query_success")
        if not addresses:
            self._without(host, reason)
            return
        if tuple(addresses) != host.addresses:
            host.addresses = tuple(addresses)
            self.counters.add("host_address_changed")
        host.reason, host.failures = "", 0
        host.due = self._loop.now + max(float(ttl), self._least)
        self._over(host)

    def failed(self, host: NamedHost, reason: str) -> None:
        """No server has said anything of it."""
        self.counters.add("dns_query_failure")
        self._without(host, reason)

    def _without(self, host: NamedHost, reason: str) -> None:
        if not host.addresses:
            host.reason = reason
        host.failures += 1
        rate = self.config.failure_refresh_rate
        host.due = self._loop.now + (self._refresh if rate is None else pause(rate, host.failures, self._random))
        self._over(host)

    def _over(self, host: NamedHost) -> None:
        """A lookup is over: who has waited goes on."""
        self._loop.forget(host)
        lookup, host.lookup = host.lookup, None
        if lookup is not None:
            lookup.close()
        host.resolved = True
        waiting, host.waiting = host.waiting, []
        for call in waiting:
            call()

    def check(self, now: float) -> None:
        """To be called about once a second: names that are due are asked for again, or forgotten where nobody uses them."""
        for host in [host for host in self._known.values() if host.lookup is None and now >= host.due]:
            if now - host.used > self._kept:
                del self._known[host.name]
                self.counters.add("host_removed")
            else:
                host.ask()

    def close(self) -> None:
        """End what is under way; nobody is told."""
        for host in self._known.values():
            self._loop.forget(host)
            if host.lookup is not None:
                host.lookup.close()


class NamedHosts:
    """All caches of a worker, by their names."""

    def __init__(self, loop: Loop, random: Random, files: Files | None = None) -> None:
        self._loop = loop
        self._random = random
        self._files = files or Files()
        self._caches: dict[str, NameCache] = {}

    def configure(self, clusters: Iterable[ClusterRuntime], counters: dict[str, Counters]) -> None:
        """Have the caches of these clusters, and no others; their counters stand under ``dns_cache.NAME``."""
        wanted = {cluster.config.dns_cache for cluster in clusters if cluster.config.dns_cache is not None}
        before, self._caches = self._caches, {}
        for config in wanted:
            own = counters[f"dns_cache.{config.name}"]
            known = before.pop(config.name, None)
            if known is None:
                known = NameCache(self._loop, self._files, self._random, config, own)
            known.configure(config, own)
            self._caches[config.name] = known
        for gone in before.values():
            gone.close()

    def of(self, cluster: ClusterRuntime) -> NameCache | None:
        """The cache of a cluster that has one."""
        config = cluster.config.dns_cache
        return None if config is None else self._caches.get(config.name)

    def check(self, now: float, clusters: Iterable[ClusterRuntime]) -> None:
        """To be called about once a second."""
        if not self._caches:
            return
        for cache in self._caches.values():
            cache.check(now)
        for cluster in clusters:
            cache_of = self.of(cluster)
            if cache_of is not None:
                cluster.forget_names(cache_of.knows)

    def gauges(self) -> dict[str, int]:
        """How many names each cache has, under Envoy's names."""
        return {f"dns_cache.{name}.num_hosts": len(cache) for name, cache in self._caches.items()}

    def close(self) -> None:
        """End what is under way."""
        for cache in self._caches.values():
            cache.close()

    def asked_for(
        self, cluster: ClusterRuntime, asked: bytes, authority: bytes, filtered: bool, again: Callable[[], None]
    ) -> Name | LocalReply | None:
        """The host of a request for ``asked``, which the route has made ``authority``; or the answer when there is none.
        ``None``: it is not known yet, and ``again`` is called when it is. ``filtered``: the filter for it is there, which
        speaks first (Envoy)."""
        cache, port = self.of(cluster), default_port(cluster)
        if cache is None:
            return errors.NO_HEALTHY_UPSTREAM
        first, last = named(asked, port), named(authority, port)
        if filtered:
            found = cache.find(first)
            if found is None:
                return errors.NAMES_OVERFLOW
            if not found.resolved:
                found.waiting.append(again)
                return None
            if not found.addresses:
                return errors.not_resolved(found.reason)
        found = cache.find(last)
        if found is None:
            return errors.NO_HEALTHY_UPSTREAM._replace(details=errors.NAMES_OVERFLOW.details)
        if not found.resolved:
            found.waiting.append(again)
            return None
        if not found.addresses:
            return errors.NO_HEALTHY_UPSTREAM._replace(details=errors.resolution_failure(found.reason))
        cluster.name_host(last, found.addresses)
        return last


def default_port(cluster: ClusterRuntime) -> int:
    """The port of a host whose name has none (Envoy)."""
    socket = cluster.config.tls
    if isinstance(socket, UpstreamProxyProtocol):
        return _TLS_PORT if isinstance(socket.socket, UpstreamTls) else _PORT
    return _TLS_PORT if isinstance(socket, UpstreamTls) else _PORT


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True

"""Keys of issuers that are elsewhere: fetched here for all workers, ahead of requests, and kept fresh.

What was fetched once is kept when it cannot be fetched again. What becomes of an answer is decided by pure functions; the
network is at the end. The supervisor asks a host of the cluster itself, as :mod:`mesh_proxy.supervisor.collectors` says.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final, TypeVar
from urllib.parse import urlsplit

import aiohttp

from mesh_api.config import (
    FilterChain,
    HttpConnectionManager,
    HttpFilter,
    HttpService,
    JwtAuthnFilter,
    Listener,
    ProxyConfig,
    RemoteJwks,
)
from mesh_proxy.supervisor.collectors import CollectorError, collector, url
from mesh_proxy.tokens.keys import key_set

log = logging.getLogger(__name__)
T = TypeVar("T")

REFRESH: Final = 300.0
"""Seconds after which keys are fetched again (Envoy's ``cache_duration``)."""
FIRST_RETRY, LONGEST_RETRY = 1.0, 60.0
"""Seconds to the next attempt after a failure, where nothing is said; each further one waits twice as long."""
TIMEOUT: Final = 5.0
"""Seconds that an answer may take, where nothing is said."""
LARGEST: Final = 1 << 20
"""Bytes of an answer; a set of keys has some thousands."""


class FetchError(Exception):
    """What cannot be had, in words for people."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a place: the last good ``keys`` (empty: none yet), when to ask again, how often asking failed."""

    keys: str = ""
    due: float = 0.0
    failures: int = 0


def fetched(place: RemoteJwks, keys: str, now: float) -> Entry:
    """After an answer."""
    return Entry(keys, now + (REFRESH if place.cache_duration is None else place.cache_duration))


def failed(place: RemoteJwks, entry: Entry, now: float) -> Entry:
    """After none: the last good keys stay."""
    wait: float = min(FIRST_RETRY * 2**entry.failures, LONGEST_RETRY)
    pause = wait if place.failed_refetch is None else max(place.failed_refetch, FIRST_RETRY)
    return Entry(entry.keys, now + pause, min(entry.failures + 1, 16))


def places(config: ProxyConfig) -> Iterator[RemoteJwks]:
    """Where keys are that the configuration asks for."""
    for listener in config.listeners:
        default = listener.default_filter_chain
        for chain in (*listener.filter_chains, *(() if default is None else (default,))):
            if isinstance(chain.filter, HttpConnectionManager):
                for item in chain.filter.http_filters:
                    if isinstance(item, JwtAuthnFilter):
                        yield from (one.remote for one in item.providers if one.remote is not None)


def filled(config: ProxyConfig, keys: dict[RemoteJwks, str]) -> ProxyConfig:
    """The configuration with those keys in it that are known."""
    if not keys:
        return config

    def of_filter(item: HttpFilter) -> HttpFilter:
        if not isinstance(item, JwtAuthnFilter) or all(one.remote not in keys for one in item.providers):
            return item
        known = (one if one.remote is None else replace(one, jwks=keys.get(one.remote, "")) for one in item.providers)
        return replace(item, providers=tuple(known))

    def of_chain(chain: FilterChain) -> FilterChain:
        manager = chain.filter
        if not isinstance(manager, HttpConnectionManager):
            return chain
        filters = _changed(of_filter, manager.http_filters)
        return (
            chain if filters is manager.http_filters else replace(chain, filter=replace(manager, http_filters=filters))
        )

    def of_listener(listener: Listener) -> Listener:
        chains, default = _changed(of_chain, listener.filter_chains), listener.default_filter_chain
        made = default if default is None else of_chain(default)
        same = chains is listener.filter_chains and made is default
        return listener if same else replace(listener, filter_chains=chains, default_filter_chain=made)

    return replace(config, listeners=_changed(of_listener, config.listeners))


def _changed(change: Callable[[T], T], items: tuple[T, ...]) -> tuple[T, ...]:
    """Each of them changed; the very tuple where none is."""
    made = tuple(map(change, items))
    return items if all(a is b for a, b in zip(items, made, strict=True)) else made


Fetch = Callable[[RemoteJwks, ProxyConfig], Awaitable[str]]
"""The keys of a place, by the clusters of a configuration. Raises :class:`FetchError`."""


class TokenKeys:
    """See the module's docstring. ``changed`` is called when :attr:`known` is another; ``clock`` in seconds."""

    def __init__(
        self, changed: Callable[[], None], fetch: Fetch | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.known: dict[RemoteJwks, str] = {}
        """The keys that are there; never changed, but replaced."""
        self._changed = changed
        self._fetch: Fetch = fetch_keys if fetch is None else fetch
        self._clock = clock
        self._config = ProxyConfig()
        self._entries: dict[RemoteJwks, Entry] = {}
        self._wake = asyncio.Event()

    def want(self, config: ProxyConfig) -> None:
        """From now on the keys that this configuration asks for; those that are not known are fetched at once."""
        self._config = config
        wanted = dict.fromkeys(places(config))
        if wanted.keys() != self._entries.keys():
            self._entries = {place: self._entries.get(place, Entry(due=self._clock())) for place in wanted}
            self._wake.set()

    async def run(self) -> None:
        """Fetches what is due, for ever."""
        while True:
            self._wake.clear()
            due = min((entry.due for entry in self._entries.values()), default=self._clock() + REFRESH)
            try:
                async with asyncio.timeout(max(due - self._clock(), 0.0)):
                    await self._wake.wait()
            except TimeoutError:
                await self.turn()

    async def turn(self) -> None:
        """Fetches, all at a time, what is due now."""
        now = self._clock()
        due = [place for place, entry in self._entries.items() if entry.due <= now]
        for place, entry in zip(due, await asyncio.gather(*map(self._asked, due)), strict=True):
            if place in self._entries:  # it may be wanted no more
                self._entries[place] = entry
        known = {place: entry.keys for place, entry in self._entries.items() if entry.keys}
        if known != self.known:
            self.known = known
            self._changed()

    async def _asked(self, place: RemoteJwks) -> Entry:
        entry = self._entries[place]
        try:
            return fetched(place, await self._fetch(place, self._config), self._clock())
        except FetchError as error:
            kept = "the last good ones are used" if entry.keys else "no token that needs them is valid"
            log.warning("keys of tokens from %s: %s; %s", place.uri, error, kept)
            return failed(place, entry, self._clock())


def _address(config: ProxyConfig, cluster: str, *, secure: bool) -> str:
    """Of a host that is asked here; the TLS of a cluster is spoken where the URI says so. Raises
    :class:`CollectorError`."""
    hosts = [host for host in collector(config, cluster).hosts if secure or host.tls is None]
    if not hosts:
        raise CollectorError(f"cluster {cluster} has no host that can be reached without TLS")
    return hosts[0].address


async def fetch_keys(place: RemoteJwks, config: ProxyConfig) -> str:
    """The keys of a place, by HTTP or, where its URI says so, by HTTPS; see :data:`Fetch`."""
    service = HttpService(place.uri, place.cluster)
    secure = urlsplit(place.uri).scheme == "https"
    limit = aiohttp.ClientTimeout(total=place.timeout or TIMEOUT)
    try:
        target, host = url(service, _address(config, place.cluster, secure=secure))
        target = target.replace("http://", "https://", 1) if secure else target
        async with (
            aiohttp.ClientSession(timeout=limit, trust_env=False) as session,
            session.get(target, headers={"host": host}, server_hostname=urlsplit(place.uri).hostname) as answer,
        ):
            if answer.status != 200:
                raise FetchError(f"status {answer.status}")
            body = b""
            async for part in answer.content.iter_any():
                body += part
                if len(body) > LARGEST:
                    raise FetchError(f"the answer is longer than {LARGEST} bytes")
    except (CollectorError, aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        raise FetchError(str(error) or type(error).__name__) from None
    text = body.decode(errors="replace")
    if key_set(text).empty:
        raise FetchError("what is there has no key that can be used")
    return text

"""Keys that are elsewhere: when they are asked for, what is kept, and where they stand in a configuration."""

import asyncio

import pytest

from mesh_api.config import (
    FilterChain,
    HttpConnectionManager,
    JwtAuthnFilter,
    JwtProvider,
    JwtRequired,
    JwtRule,
    Listener,
    ProxyConfig,
    RemoteJwks,
    RouterFilter,
    SocketAddress,
    TcpProxy,
)
from mesh_proxy.supervisor.token_keys import FetchError, TokenKeys, fetch_keys, filled, places

FIRST, SECOND = (
    RemoteJwks("http://a/keys", "a"),
    RemoteJwks("http://b/keys", "b", cache_duration=10.0, failed_refetch=7.0),
)


def listener(name: str, *providers: JwtProvider) -> Listener:
    tokens = JwtAuthnFilter(providers, (JwtRule(JwtRequired("p")),))
    manager = HttpConnectionManager("s", http_filters=(tokens, RouterFilter()))
    return Listener(name, SocketAddress("0.0.0.0", 80), filter_chains=(FilterChain(manager),))


def config(*remotes: RemoteJwks) -> ProxyConfig:
    found = (listener(f"l{n}", JwtProvider("p", remote=remote)) for n, remote in enumerate(remotes))
    bytes_only = Listener("bytes", SocketAddress("0.0.0.0", 81), filter_chains=(FilterChain(TcpProxy("t", "c")),))
    return ProxyConfig(listeners=(*found, bytes_only, listener("inline", JwtProvider("p", jwks="{}"))))


class Issuers:
    """Answers by place, or none; ``asked`` are the questions, in turn."""

    def __init__(self) -> None:
        self.answers: dict[RemoteJwks, str] = {}
        self.asked: list[RemoteJwks] = []
        self.now = 100.0
        self.changes = 0
        self.keys = TokenKeys(self.changed, self.fetch, lambda: self.now)

    def changed(self) -> None:
        self.changes += 1

    async def fetch(self, place: RemoteJwks, config: ProxyConfig) -> str:
        self.asked.append(place)
        if place not in self.answers:
            raise FetchError("nobody there")
        return self.answers[place]

    def at(self, now: float) -> dict[RemoteJwks, str]:
        self.now = now
        asyncio.run(self.keys.turn())
        return self.keys.known


def test_places_are_found_and_filled() -> None:
    before = config(FIRST, SECOND)
    assert list(places(before)) == [FIRST, SECOND]
    assert filled(before, {}) is before
    after = filled(before, {SECOND: "keys"})
    assert list(places(after)) == [FIRST, SECOND]
    assert [a is b for a, b in zip(before.listeners, after.listeners, strict=True)] == [True, False, True, True]
    manager = after.listeners[1].filter_chains[0].filter
    assert isinstance(manager, HttpConnectionManager)
    tokens = manager.http_filters[0]
    assert isinstance(tokens, JwtAuthnFilter)
    assert tokens.providers[0].jwks == "keys"


def test_keys_are_fetched_at_once_and_again_when_they_are_old() -> None:
    issuers = Issuers()
    issuers.answers = {FIRST: "one", SECOND: "two"}
    issuers.keys.want(config(FIRST, SECOND))
    assert issuers.at(100.0) == {FIRST: "one", SECOND: "two"}
    assert (issuers.asked, issuers.changes) == ([FIRST, SECOND], 1)
    issuers.answers[SECOND] = "three"
    assert issuers.at(109.9) == {FIRST: "one", SECOND: "two"}
    assert issuers.at(110.0) == {FIRST: "one", SECOND: "three"}
    assert (issuers.asked, issuers.changes) == ([FIRST, SECOND, SECOND], 2)


def test_the_last_good_keys_are_kept_and_pauses_grow() -> None:
    issuers = Issuers()
    issuers.answers = {FIRST: "one"}
    issuers.keys.want(config(FIRST))
    issuers.at(100.0)
    issuers.answers.clear()
    moments = (400.0, 400.9, 401.0, 402.9, 403.0, 406.9, 407.0)
    assert [issuers.at(now) for now in moments] == [{FIRST: "one"}] * len(moments)
    assert len(issuers.asked) == 1 + 4
    assert issuers.changes == 1


def test_pauses_are_those_that_the_configuration_wants() -> None:
    issuers = Issuers()
    issuers.keys.want(config(SECOND))
    assert [len(issuers.at(now) or issuers.asked) for now in (100.0, 106.9, 107.0, 113.9, 114.0)] == [1, 1, 2, 2, 3]


def test_what_is_wanted_no_more_is_forgotten() -> None:
    issuers = Issuers()
    issuers.answers = {FIRST: "one", SECOND: "two"}
    issuers.keys.want(config(FIRST, SECOND))
    issuers.at(100.0)
    issuers.keys.want(config(SECOND))
    assert issuers.at(110.0) == {SECOND: "two"}


def test_a_cluster_that_is_not_there_is_told() -> None:
    with pytest.raises(FetchError, match="there is no cluster a"):
        asyncio.run(fetch_keys(FIRST, ProxyConfig()))

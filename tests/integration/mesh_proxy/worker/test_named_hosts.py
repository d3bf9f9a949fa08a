"""Hosts that requests name, looked up of a server on the worker's loop, and kept."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh_api.config import Cluster, ClusterType, DnsCache, LbPolicy, SocketAddress
from mesh_proxy.cluster import ClusterRuntime
from mesh_proxy.errors import LocalReply
from mesh_proxy.telemetry.stats import Counters
from mesh_proxy.worker.loop import Loop
from mesh_proxy.worker.name_service import Files
from mesh_proxy.worker.named_hosts import NamedHosts
from tests.support.dns_server import AAAA, A, DnsServer, by_table, message, record

pytestmark = pytest.mark.integration

TABLE = {
    ("one.example", A): ["10.0.0.1"],
    ("many.example", A): ["10.0.0.1", "10.0.0.2"],
    ("both.example", A): ["10.0.0.1"],
    ("both.example", AAAA): ["fd00::1"],
}


ANSWERS = by_table(TABLE)


class Names:
    """A loop that is turned until something holds, with a clock of its own; a cluster whose names one server knows."""

    def __init__(self, server: DnsServer, folder: Path) -> None:
        self.now = 1000.0
        self.server = server
        self.loop = Loop(lambda: self.now)
        (folder / "resolv.conf").write_text("options timeout:1 attempts:2\n")
        (folder / "hosts").write_text("10.0.0.7 own.example\n")
        self.hosts = NamedHosts(self.loop, lambda: 0.5, Files(folder / "resolv.conf", folder / "hosts"))
        self.counters = Counters("dns_cache.c")
        self.cluster = ClusterRuntime(self._config(), None, lambda: 0.0)
        self.configure()

    def _config(self, **fields: Any) -> Cluster:
        settings: dict[str, Any] = {"lookup_family": "V4_ONLY", **fields}
        cache = DnsCache("c", resolvers=(SocketAddress("127.0.0.1", self.server.port),), **settings)
        return Cluster("c", ClusterType.FORWARD_PROXY, lb_policy=LbPolicy.CLUSTER_PROVIDED, dns_cache=cache)

    def configure(self, **fields: Any) -> None:
        self.cluster.configure(self._config(**fields), None)
        self.hosts.configure([self.cluster], {"dns_cache.c": self.counters})

    def ask(self, authority: str, again: Callable[[], None] = lambda: None) -> Any:
        name = authority.encode()
        return self.hosts.asked_for(self.cluster, name, name, True, again)

    def found(self, authority: str) -> Any:
        """What comes of it, when it is known."""
        over: list[bool] = []
        made = self.ask(authority, lambda: over.append(True))
        if made is None:
            self.until(lambda: bool(over))
            made = self.ask(authority)
        return made

    def until(self, holds: Callable[[], bool]) -> None:
        for _ in range(2000):
            if holds():
                return
            self.loop.turn(0.01)
        raise AssertionError("never came true")

    def pass_over(self, seconds: float) -> None:
        """Time goes by; the loop sees to what is due then."""
        self.now += seconds
        self.loop.turn(0.0)
        self.hosts.check(self.now, [self.cluster])

    def targets(self) -> dict[str, Any]:
        return {key: host.target for key, host in self.cluster.hosts.items()}

    def close(self) -> None:
        self.hosts.close()
        self.loop.close()


@pytest.fixture
def names(tmp_path: Path) -> Iterator[Names]:
    server = DnsServer(ANSWERS)
    with contextlib.closing(server), contextlib.closing(Names(server, tmp_path)) as made:
        yield made


FAMILIES = [
    ("one.example:8080", "V4_ONLY", ("10.0.0.1", 8080)),
    ("many.example", "V4_ONLY", ("10.0.0.1", 80)),
    ("both.example", "V6_ONLY", ("fd00::1", 80)),
    ("both.example", "AUTO", ("fd00::1", 80)),
    ("own.example:81", "V4_ONLY", ("10.0.0.7", 81)),
    ("10.1.2.3:81", "V4_ONLY", ("10.1.2.3", 81)),
    ("[fd00::7]:81", "ALL", ("fd00::7", 81)),
]


@pytest.mark.parametrize(("authority", "family", "target"), FAMILIES)
def test_a_host_is_at_the_address_of_its_name(
    names: Names, authority: str, family: str, target: tuple[str, int]
) -> None:
    names.configure(lookup_family=family)
    found = names.found(authority)
    assert found[1] == target[1]
    assert list(names.targets().values()) == [target]
    host = names.cluster.pick(found, [], 0)
    assert host is not None
    assert (host.target, host.hostname) == (target, found[0])


WITHOUT = [
    ("unknown.example", "cares_norecords:Domain_name_not_found"),
    ("a..example", "cares_failure:Misformatted_domain_name"),
    ("one.example:x", "cares_failure:Misformatted_domain_name"),
    ("[fd00::1]:80", "cares_failure:Misformatted_domain_name"),
]


@pytest.mark.parametrize(("authority", "reason"), WITHOUT)
def test_who_names_nobody_is_told_why(names: Names, authority: str, reason: str) -> None:
    found = names.found(authority)
    assert isinstance(found, LocalReply)
    assert (found.status, found.flags, found.details) == (503, "DF", f"dns_resolution_failure{{{reason}}}")


def test_a_name_is_asked_for_once_whoever_waits(names: Names) -> None:
    called: list[str] = []
    assert names.ask("one.example", lambda: called.append("first")) is None
    assert names.ask("one.example", lambda: called.append("second")) is None
    names.until(lambda: len(called) == 2)
    assert names.ask("one.example") == ("one.example", 80)
    assert [name for name, _, _ in names.server.asked] == ["one.example"]


def test_an_answer_holds_as_long_as_it_says_and_the_address_may_change(names: Names) -> None:
    names.found("one.example")
    host = names.cluster.hosts["one.example:80"]
    names.server.answering = lambda query, _: message(query, [record("one.example", "10.0.0.8", 1)])
    names.pass_over(16.0)
    assert names.counters.values["dns_query_attempt"] == 1
    names.pass_over(2.0)
    names.until(lambda: names.counters.values["host_address_changed"] == 2)
    assert names.found("one.example") == ("one.example", 80)
    assert names.cluster.hosts == {"one.example:80": host}
    assert (host.target, host.name) == (("10.0.0.8", 80), "10.0.0.8:80")
    names.pass_over(4.0)
    assert names.counters.values["dns_query_attempt"] == 2  # a second is less than an answer may hold
    names.pass_over(2.0)
    assert names.counters.values["dns_query_attempt"] == 3


def test_an_address_that_cannot_be_asked_for_again_stays(names: Names) -> None:
    names.configure(failure_refresh_rate=(2.0, 10.0))
    names.found("one.example")
    names.server.answering = lambda query, _: message(query, (), 3)
    names.pass_over(18.0)
    names.until(lambda: names.counters.values["dns_query_success"] == 2)
    assert names.found("one.example") == ("one.example", 80)
    names.pass_over(1.1)
    assert names.counters.values["dns_query_attempt"] == 3


def test_a_name_without_an_address_has_none_until_it_is_asked_for_again(names: Names) -> None:
    names.configure(refresh_rate=7.0)
    names.server.answering = lambda query, _: message(query, (), 2)
    assert names.found("one.example").details == (
        "dns_resolution_failure{cares_failure:DNS_server_returned_general_failure}"
    )
    names.server.answering = ANSWERS
    assert names.found("one.example").flags == "DF"
    names.pass_over(7.5)
    names.until(lambda: names.counters.values["dns_query_success"] == 1)
    assert names.found("one.example") == ("one.example", 80)


def test_nobody_waits_longer_than_the_cache_has_patience(names: Names) -> None:
    names.configure(query_timeout=0.5)
    names.server.answering = lambda query, _: None
    called: list[bool] = []
    assert names.ask("one.example", lambda: called.append(True)) is None
    names.now += 0.6
    names.until(lambda: bool(called))
    assert names.found("one.example").details == "dns_resolution_failure{resolve_timeout}"
    assert names.counters.values["dns_query_timeout"] == 1


def test_names_that_nobody_uses_are_forgotten_with_their_hosts(names: Names) -> None:
    names.configure(host_ttl=30.0, max_hosts=2)
    names.found("one.example")
    names.found("many.example")
    assert names.found("both.example").details == "dns_cache_overflow"
    names.cluster.hosts["many.example:80"].active_requests = 1
    names.pass_over(31.0)
    assert names.counters.values["host_removed"] == 2
    assert list(names.targets()) == ["many.example:80"]  # which is busy
    assert names.hosts.gauges() == {"dns_cache.c.num_hosts": 0}
    assert names.found("both.example") == ("both.example", 80)
    names.cluster.hosts["many.example:80"].active_requests = 0
    names.hosts.check(names.now, [names.cluster])
    assert list(names.targets()) == ["both.example:80"]


def test_without_the_filter_the_cluster_has_no_healthy_host(names: Names) -> None:
    names.found("unknown.example")
    found = names.hosts.asked_for(names.cluster, b"unknown.example", b"unknown.example", False, lambda: None)
    assert isinstance(found, LocalReply)
    assert (found.flags, found.details) == ("UH", "dns_resolution_failure{cares_norecords:Domain_name_not_found}")


def test_a_cache_lives_on_with_its_configuration_and_ends_without_one(names: Names) -> None:
    names.found("one.example")
    names.configure(host_ttl=30.0)
    assert names.ask("one.example") == ("one.example", 80)
    names.hosts.configure([], {})
    assert names.hosts.gauges() == {}
    assert names.ask("one.example").flags == "UH"

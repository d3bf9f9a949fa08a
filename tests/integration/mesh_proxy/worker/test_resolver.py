"""Names of clusters, looked up of a server on the worker's loop."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh_api.config import Cluster, ClusterLoadAssignment, ClusterType, Endpoint, LocalityEndpoints, SocketAddress
from mesh_proxy.cluster import ClusterRuntime
from mesh_proxy.worker.loop import Loop
from mesh_proxy.worker.name_service import Files
from mesh_proxy.worker.resolver import Resolver, next_time
from tests.support.dns_server import AAAA, A, DnsServer, by_table, message, record

pytestmark = pytest.mark.integration

TABLE = {
    ("one.example", A): ["10.0.0.1"],
    ("many.example", A): ["10.0.0.1", "10.0.0.2", "10.0.0.3"],
    ("both.example", A): ["10.0.0.1"],
    ("both.example", AAAA): ["fd00::1"],
    ("new.example", AAAA): ["fd00::1"],
    ("short.mesh.example", A): ["10.0.0.9"],
}


ANSWERS = by_table(TABLE)


class Names:
    """A loop that is turned until something holds, with a clock of its own; clusters that ask one server."""

    def __init__(self, server: DnsServer, folder: Path) -> None:
        self.now = 1000.0
        self.server = server
        self.loop = Loop(lambda: self.now)
        self.clusters: dict[str, ClusterRuntime] = {}
        (folder / "resolv.conf").write_text("search mesh.example\noptions timeout:1 attempts:2\n")
        (folder / "hosts").write_text("10.0.0.7 own.example\n")
        files = Files(folder / "resolv.conf", folder / "hosts")
        self.resolver = Resolver(self.loop, lambda: self.clusters, lambda: 0.5, files)

    def cluster(self, *names: str, kind: ClusterType = ClusterType.STRICT_DNS, **fields: Any) -> ClusterRuntime:
        endpoints = tuple(Endpoint(SocketAddress(name, 80)) for name in names)
        settings: dict[str, Any] = {"dns_resolvers": (SocketAddress("127.0.0.1", self.server.port),)} | fields
        config = Cluster(
            "c", kind, load_assignment=ClusterLoadAssignment("c", (LocalityEndpoints(endpoints),)), **settings
        )
        self.clusters["c"] = made = ClusterRuntime(config, None, lambda: 0.0)
        return made

    def until(self, holds: Callable[[], bool]) -> None:
        self.resolver.check(self.now)
        for _ in range(2000):
            if holds():
                return
            self.loop.turn(0.01)
        raise AssertionError("never came true")

    def close(self) -> None:
        self.resolver.close()
        self.loop.close()


@pytest.fixture
def names(tmp_path: Path) -> Iterator[Names]:
    server = DnsServer(ANSWERS)
    with contextlib.closing(server), contextlib.closing(Names(server, tmp_path)) as made:
        yield made


FAMILIES = [
    ("one.example", "V4_ONLY", ["10.0.0.1:80"]),
    ("many.example", "V4_ONLY", ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]),
    ("both.example", "V4_ONLY", ["10.0.0.1:80"]),
    ("both.example", "V6_ONLY", ["[fd00::1]:80"]),
    ("both.example", "AUTO", ["[fd00::1]:80"]),
    ("both.example", "V4_PREFERRED", ["10.0.0.1:80"]),
    ("both.example", "ALL", ["10.0.0.1:80", "[fd00::1]:80"]),
    ("one.example", "AUTO", ["10.0.0.1:80"]),
    ("new.example", "V4_PREFERRED", ["[fd00::1]:80"]),
    ("one.example", "V6_ONLY", []),
    ("unknown.example", "ALL", []),
    ("short", "V4_ONLY", ["10.0.0.9:80"]),
    ("own.example", "V4_ONLY", ["10.0.0.7:80"]),
    ("10.1.2.3", "V4_ONLY", ["10.1.2.3:80"]),
]


@pytest.mark.parametrize(("name", "family", "expected"), FAMILIES)
def test_hosts_are_the_addresses_of_the_family(names: Names, name: str, family: str, expected: list[str]) -> None:
    made = names.cluster(name, dns_lookup_family=family)
    assert made.warm is False
    names.until(lambda: made.warm)
    assert list(made.hosts) == expected


def test_a_logical_cluster_has_one_host_that_moves(names: Names) -> None:
    made = names.cluster("many.example", kind=ClusterType.LOGICAL_DNS)
    names.until(lambda: made.warm)
    assert list(made.hosts) == ["10.0.0.1:80"]
    host = made.hosts["10.0.0.1:80"]
    names.server.answering = lambda query, _: message(query, [record("many.example", "10.0.0.8")])
    names.now += 18.0
    names.until(lambda: "10.0.0.8:80" in made.hosts)
    assert made.hosts == {"10.0.0.8:80": host}
    assert host.target == ("10.0.0.8", 80)


def test_an_answer_that_is_cut_off_is_asked_for_on_a_stream(names: Names) -> None:
    names.server.answering = lambda query, transport: (
        message(query, (), 0, True) if transport == "udp" else ANSWERS(query, transport)
    )
    made = names.cluster("many.example")
    names.until(lambda: made.warm)
    assert len(made.hosts) == 3
    assert [transport for _, _, transport in names.server.asked] == ["udp", "tcp"]


def test_a_server_that_fails_leaves_the_hosts_as_they_are(names: Names) -> None:
    made = names.cluster("one.example", dns_failure_refresh_rate=(2.0, 10.0))
    names.until(lambda: made.warm)
    names.server.answering = lambda query, _: message(query, (), 2)
    names.now += 18.0
    names.until(lambda: made.counters.values["update_failure"] == 1)
    assert list(made.hosts) == ["10.0.0.1:80"]
    names.server.answering = lambda query, _: message(query, (), 3)
    names.now += 1.0
    names.until(lambda: made.hosts == {})
    assert made.counters.values["update_success"] == 2


def test_a_cluster_is_warm_when_nobody_answers(names: Names) -> None:
    names.server.answering = lambda query, _: None
    made = names.cluster("one.example")
    names.resolver.check(names.now)
    while not made.warm:
        names.loop.turn(0.01)
        names.now += 0.6
    assert (list(made.hosts), made.counters.values["update_failure"]) == ([], 1)
    assert len(names.server.asked) >= 1


def test_answers_to_other_questions_are_not_listened_to(names: Names) -> None:
    def forged(query: bytes, transport: str) -> bytes | None:
        names.server.answering = ANSWERS
        return bytes((query[0] ^ 1, *message(query, [record("one.example", "6.6.6.6")])[1:]))

    names.server.answering = forged
    made = names.cluster("one.example")
    names.resolver.check(names.now)
    names.loop.turn(5.0)
    assert made.warm is False
    names.now += 1.1
    names.until(lambda: made.warm)
    assert list(made.hosts) == ["10.0.0.1:80"]


def test_what_left_the_configuration_is_not_waited_for(names: Names) -> None:
    names.server.answering = lambda query, _: None
    names.cluster("one.example")
    names.resolver.check(names.now)
    names.clusters.clear()
    names.resolver.check(names.now)
    other = names.cluster("10.0.0.4")
    names.until(lambda: other.warm)


TIMES: list[tuple[dict[str, Any], int, int, float]] = [
    ({}, 30, 0, 30.0),
    ({"respect_dns_ttl": False, "dns_refresh_rate": 7.0}, 30, 0, 7.0),
    ({"dns_refresh_rate": 7.0}, 0, 0, 7.0),
    ({"dns_jitter": 4.0}, 30, 0, 32.0),
    ({"dns_refresh_rate": 7.0}, 0, 1, 7.0),
    ({"dns_failure_refresh_rate": (2.0, 10.0)}, 0, 1, 1.0),
    ({"dns_failure_refresh_rate": (2.0, 10.0)}, 0, 2, 2.0),
    ({"dns_failure_refresh_rate": (2.0, 10.0)}, 0, 9, 5.0),
    ({"dns_failure_refresh_rate": (2.0, 10.0)}, 0, 5000, 5.0),
]


@pytest.mark.parametrize(("fields", "ttl", "failures", "expected"), TIMES)
def test_when_a_name_is_asked_for_again(fields: dict[str, Any], ttl: int, failures: int, expected: float) -> None:
    assert next_time(Cluster("c", ClusterType.STRICT_DNS, **fields), ttl, failures, lambda: 0.5) == expected

"""Names of clusters: a real Envoy and our resolver ask one server, and have the same hosts then."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh_api.config import Cluster, ClusterLoadAssignment, ClusterType, Endpoint, LocalityEndpoints, SocketAddress
from mesh_proxy.cluster import ClusterRuntime
from mesh_proxy.worker.loop import Loop
from mesh_proxy.worker.name_service import Files
from mesh_proxy.worker.resolver import Resolver
from tests.support.dns_server import AAAA, A, DnsServer, message, question_of, record
from tests.support.envoy_process import EnvoyProcess
from tests.support.proxy_config import http_config, route
from tests.support.worker_process import LIMIT

pytestmark = pytest.mark.integration

TABLE = {
    ("one.example", A): ["10.0.0.1"],
    ("many.example", A): ["10.0.0.3", "10.0.0.1", "10.0.0.2"],
    ("both.example", A): ["10.0.0.1"],
    ("both.example", AAAA): ["fd00::1"],
    ("new.example", AAAA): ["fd00::1", "fd00::2"],
    ("alias.example", A): ["one.example"],
}
GONE, BROKEN = "gone.example", "broken.example"
FAMILIES = ("V4_ONLY", "V6_ONLY", "AUTO", "V4_PREFERRED", "ALL")
NAMES = ("one.example", "many.example", "both.example", "new.example", "alias.example", "unknown.example", "10.9.9.9")


class Server:
    """Answers for some names change after the first time."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def __call__(self, query: bytes, _transport: str) -> bytes | None:
        _, name, kind = question_of(query)
        if name in (GONE, BROKEN):
            first = name not in self.seen
            self.seen.add(name)
            code = 0 if first else 3 if name == GONE else 2
            return message(query, [record(name, "10.0.0.5", 1)] if first else (), code)
        found = [record(name, value, 600) for value in TABLE.get((name, kind), ())]
        if name == "alias.example" and kind == A:
            found.append(record("one.example", "10.0.0.1", 600))
        return message(query, found, 0 if any(name == known for known, _ in TABLE) else 3)


def clusters(port: int) -> Iterator[Cluster]:
    def made(name: str, host: str, kind: ClusterType = ClusterType.STRICT_DNS, **fields: Any) -> Cluster:
        found = ClusterLoadAssignment(name, (LocalityEndpoints((Endpoint(SocketAddress(host, 80)),)),))
        servers = (SocketAddress("127.0.0.1", port),)
        return Cluster(name, kind, load_assignment=found, dns_resolvers=servers, dns_refresh_rate=600.0, **fields)

    for name in NAMES:
        for family in FAMILIES:
            yield made(f"{name}-{family}", name, dns_lookup_family=family)
    yield made("logical", "many.example", ClusterType.LOGICAL_DNS)
    for name in (GONE, BROKEN):
        yield made(name, name, dns_failure_refresh_rate=(500.0, 600.0))


def hosts_of(envoy: EnvoyProcess) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for line in envoy.ask("/clusters").decode().splitlines():
        cluster, rest = line.split("::", 1)
        if "::rq_total::" in line:
            found.setdefault(cluster, set()).add(rest.rpartition("::rq_total")[0])
    return found


def settled(envoy: EnvoyProcess, name: str) -> bool:
    """Whether the second answer came, which was asked for when the first one had expired."""
    lines = envoy.ask(f"/stats?filter=^cluster.{name}.update_").decode().split()
    values = dict(zip(lines[::2], map(int, lines[1::2]), strict=True))
    return values[f"cluster.{name}.update_success:"] + values[f"cluster.{name}.update_failure:"] == 2


def test_hosts_are_those_of_envoy(tmp_path: Path, envoy: Path) -> None:
    with contextlib.closing(DnsServer(Server())) as server:
        made = tuple(clusters(server.port))
        config = http_config((route("/", "logical"),), made)
        with EnvoyProcess(envoy, tmp_path, config) as real:
            deadline = time.monotonic() + LIMIT
            while not (settled(real, GONE) and settled(real, BROKEN)):
                assert time.monotonic() < deadline
            theirs = hosts_of(real)
    assert {name: found for name, found in ours(tmp_path).items() if found} == theirs


def ours(folder: Path) -> dict[str, set[str]]:
    """After the second answers."""
    with contextlib.closing(DnsServer(Server())) as server:
        runtimes = {one.name: ClusterRuntime(one, None, lambda: 0.0) for one in clusters(server.port)}
        now = [1000.0]
        loop = Loop(lambda: now[0])
        files = Files(folder / "nothing", folder / "nothing")
        with (
            contextlib.closing(loop),
            contextlib.closing(Resolver(loop, lambda: runtimes, lambda: 0.5, files)) as names,
        ):
            for second in (0.0, 1.5):
                now[0] += second
                names.check(now[0])
                for _ in range(5000):
                    if all(watched.lookup is None for watched in names._watched.values()):
                        break
                    loop.turn(0.01)
            return {name: set(runtime.hosts) for name, runtime in runtimes.items()}

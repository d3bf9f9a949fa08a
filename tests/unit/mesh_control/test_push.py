"""Streams and worlds, without sockets: who is sent what, and what counts as taken."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from mesh_api.node import Node
from mesh_api.xds.session import DeltaClient, DeltaRequest, DeltaResponse, Request, Response
from mesh_api.xds.type_urls import ADS_ORDER, CLUSTER, ENDPOINT, LISTENER, ROUTE, SHORT_NAMES
from mesh_control.metrics import Metrics
from mesh_control.proxies import ProxyError
from mesh_control.push import CompileError, Debounce, Hub, Progress
from mesh_control.world import World
from tests.unit.mesh_control import worlds

TIMEOUT = (
    "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: order}\n"
    "spec: {hosts: [order], http: [{route: [{destination: {host: order}}], timeout: 15s}]}\n"
)
FOR_STORE = TIMEOUT.replace("{route:", "{match: [{sourceLabels: {app: store}}], route:")


class Proxies:
    """Proxies at one hub that take what they are sent when they are told to."""

    def __init__(self, world: World) -> None:
        self.events: list[str] = []
        self.details: list[str] = []
        self.metrics = Metrics()
        self.hub = Hub(world, "1", self.metrics, self.events.append, self.details.append)
        self.under_way: dict[str, list[Any]] = {}
        self.names: dict[str, dict[str, tuple[str, ...]]] = {}
        self.now = 0.0

    def connect(self, key: str, node: Node) -> None:
        self.hub.open(key)
        self.under_way[key], self.names[key] = [], {}
        for type_url in ADS_ORDER:
            names = () if type_url in (CLUSTER, LISTENER) else self._all(type_url)
            self.names[key][type_url] = names
            self._say(key, Request(type_url, resource_names=names, node=node if type_url == CLUSTER else None))

    def _all(self, type_url: str) -> tuple[str, ...]:
        known = {
            ENDPOINT: "outbound|8380||{0}.{1} outbound|8480||store.{1} outbound|5432||postgres.{1}",
            ROUTE: "8380 8480",
        }
        return tuple(known[type_url].format("order", "default.svc.cluster.local").split())

    def _say(self, key: str, request: Request) -> None:
        self.under_way[key] += self.hub.on_request(key, request, self.now)

    def answer(self, key: str, judge: Callable[[Response], str | None] = lambda response: None) -> list[str]:
        """Takes (or refuses) all that is under way until nothing more comes; the short names of what was sent."""
        seen = []
        while self.under_way[key]:
            response = self.under_way[key].pop(0)
            seen.append(SHORT_NAMES[response.type_url])
            error = judge(response)
            version = "" if error else response.version_info
            names = self.names[key][response.type_url]
            self._say(key, Request(response.type_url, version, response.nonce, names, error))
        return seen

    def world(self, world: World, version: str) -> frozenset[str]:
        sent, affected = self.hub.set_world(world, version, self.now)
        for key, responses in sent.items():
            self.under_way[key] += responses
        return affected


def connected() -> Proxies:
    proxies = Proxies(worlds.world())
    for key, node in (("s1", worlds.STORE), ("s2", worlds.ORDER_V1)):
        proxies.connect(key, node)
        assert sorted(proxies.answer(key)) == ["CDS", "EDS", "LDS", "RDS"]
    assert set(proxies.hub.progress().values()) == {Progress.ACKNOWLEDGED}
    return proxies


def test_only_what_changed_goes_to_whom_it_concerns() -> None:
    proxies = connected()
    assert proxies.world(worlds.world(FOR_STORE), "2") == {"store.default"}
    assert proxies.hub.progress()["store.default"] is Progress.PENDING
    assert proxies.answer("s1") == ["RDS"]
    assert proxies.hub.progress()["store.default"] is Progress.ACKNOWLEDGED
    assert proxies.world(worlds.world(FOR_STORE), "3") == frozenset()


def test_hosts_that_move_are_a_detail() -> None:
    proxies = connected()
    before = list(proxies.events)
    moved = tuple(replace(one, address="10.0.9.9") if one.name == "order-v1" else one for one in worlds.WORKLOADS)
    proxies.world(worlds.world(workloads=moved), "2")
    assert proxies.answer("s1") == ["EDS"]
    assert proxies.events == before
    of_store = [line for line in proxies.details if line.startswith("store.default ")]
    assert of_store == ["store.default is sent EDS 2: 1 resources", "store.default has taken 2"]
    proxies.world(worlds.world(TIMEOUT), "3")
    proxies.answer("s1")
    assert proxies.events[-1] == "store.default has taken 3"


NEAR = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: order}
spec:
  host: order
  trafficPolicy:
    outlierDetection: {consecutive5xxErrors: 5}
    loadBalancer: {localityLbSetting: {enabled: true}}
"""
PLACED = {"one": "10.0.0.3", "two": "10.0.0.4"}


def placed(one: str, *hosts: str) -> World:
    """Hosts of a service, and two of its clients, of which one is somewhere else than the other: in so many regions."""
    regions = {"one": one, "two": "b", **{f"order-{n}": region for n, region in enumerate(hosts)}}
    addresses = {**PLACED, **{f"order-{n}": f"10.0.{n + 1}.1" for n, _ in enumerate(hosts)}}
    members = (
        replace(worlds.workload(name, name.partition("-")[0], addresses[name]), locality=region)
        for name, region in regions.items()
    )
    return worlds.world(NEAR, services=tuple(map(worlds.service, ("order", *PLACED))), workloads=tuple(members))


def endpoints_at(hub: Hub) -> dict[str, Mapping[str, bytes]]:
    return {key: state.resources[ENDPOINT] for key, state in hub.streams().items()}


def at_hub_of(world: World) -> Hub:
    hub = Hub(world, "1", Metrics())
    for key, address in PLACED.items():
        hub.open(key, delta=True)
        node = Node(f"sidecar~{address}~{key}.default~default.svc.cluster.local")
        hub.on_request(key, DeltaRequest(CLUSTER, node=node), 0.0)
    return hub


def test_a_proxy_that_has_moved_itself_is_told_of_hosts_by_its_new_place() -> None:
    """Others that had the same hosts are where they were; as long as all hosts are far away, both are told the same."""
    hub = at_hub_of(placed("b", "c"))
    for version, world in enumerate((placed("b", "d"), placed("a", "d"), placed("a", "d", "a")), 2):
        hub.set_world(world.after(hub.world), str(version), 0.0)
        assert endpoints_at(hub) == endpoints_at(at_hub_of(world))
    assert hub.streams()["one"].resources[ENDPOINT] != hub.streams()["two"].resources[ENDPOINT]


def test_a_refusal_is_told_with_its_reason_and_ends_with_what_was_refused() -> None:
    proxies = connected()
    proxies.world(worlds.world(TIMEOUT), "2")
    proxies.answer("s1", lambda response: "8380: too long")
    (refusal,) = proxies.hub.refusals()
    assert str(refusal) == "store.default refused RDS: 8380: too long"
    assert proxies.hub.progress()["store.default"] is Progress.REFUSED
    proxies.answer("s2")
    proxies.world(worlds.world(), "3")
    proxies.answer("s1")
    proxies.answer("s2")
    assert proxies.hub.refusals() == []
    assert set(proxies.hub.progress().values()) == {Progress.ACKNOWLEDGED}
    assert proxies.metrics.value("pilot_total_xds_rejects", type="rds") == 1


def test_a_proxy_that_still_works_is_sent_the_newest_only() -> None:
    proxies = connected()
    for number in range(2, 9):
        proxies.world(worlds.world(TIMEOUT.replace("15s", f"{number}s")), str(number))
    assert len(proxies.under_way["s1"]) == 1
    assert proxies.answer("s1") == ["RDS", "RDS"]
    assert proxies.hub.status()["store.default"]["RDS"].version_acked == "8"


def test_of_two_streams_of_one_proxy_the_newer_counts() -> None:
    proxies = connected()
    proxies.connect("s3", worlds.STORE)
    assert proxies.hub.progress()["store.default"] is Progress.PENDING
    proxies.answer("s3")
    proxies.hub.close("s1")
    assert proxies.hub.progress()["store.default"] is Progress.ACKNOWLEDGED
    proxies.hub.close("s3")
    assert list(proxies.hub.progress()) == ["order-v1.default"]


def test_convergence_is_measured_from_the_change_to_the_last_acknowledgement() -> None:
    proxies = connected()
    proxies.now = 10.0
    proxies.world(worlds.world(TIMEOUT), "2")
    proxies.now = 12.0
    proxies.answer("s1")
    lines = proxies.metrics.exposition().splitlines()
    assert "pilot_proxy_convergence_time_sum 2" in lines
    assert 'pilot_proxy_convergence_time_bucket{le="1"} 2' in lines
    assert 'pilot_proxy_convergence_time_bucket{le="3"} 3' in lines


def test_a_node_that_cannot_be_served_is_told_why() -> None:
    hub = Hub(worlds.world(), "1", Metrics())
    hub.open("s1")
    bad = Node(worlds.STORE.id, metadata={"CAPTURE_PORTS": {"outbound": 0}})
    with pytest.raises(ProxyError, match=r"CAPTURE_PORTS\.outbound must be a port from 1 to 65535, not 0"):
        hub.on_request("s1", Request(CLUSTER, node=bad), 0.0)
    assert hub.progress() == {}


def test_a_world_that_cannot_be_compiled_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    proxies = connected()
    broken = World.of((worlds.service("x", worlds.ServicePort("http", 80, worlds.HTTP, -1)),), worlds.WORKLOADS)
    hosts = World.of(broken.services, (worlds.workload("x", "x", "10.0.0.1"),))
    with pytest.raises(CompileError, match="default cannot be configured: "):
        proxies.world(hosts, "2")
    assert proxies.hub.version == "1"
    assert proxies.world(worlds.world(), "2") == frozenset()


def test_debounce() -> None:
    debounce = Debounce(quiet=0.1, latest=10.0)
    assert debounce.deadline is None
    assert debounce.take(0.0) is None
    debounce.touch(1.0)
    debounce.touch(1.05)
    assert debounce.deadline == pytest.approx(1.15)
    assert debounce.take(1.1) is None
    assert debounce.take(1.2) == pytest.approx(0.2)
    assert debounce.deadline is None
    for step in range(200):
        debounce.touch(2.0 + step * 0.09)
    assert debounce.deadline == 12.0


def test_what_too_many_refuse_is_put_back() -> None:
    proxies = connected()
    before = proxies.hub.world
    assert proxies.hub.roll_back(0.4, "1-back", 0.0) == {}
    proxies.world(worlds.world(TIMEOUT), "2")
    proxies.answer("s1", lambda response: "8380: too long")
    assert proxies.hub.roll_back(0.5, "2-back", 0.0) == {}, "half of them is not more than half"
    for key, responses in proxies.hub.roll_back(0.4, "2-back", 0.0).items():
        proxies.under_way[key] += responses
    back = proxies.hub.rolled_back
    assert back is not None
    assert (back.refused, back.version, back.proxies) == ("2", "2-back", 1)
    assert proxies.hub.world == before
    assert "store.default refused RDS: 8380: too long" in proxies.events[-1]
    for key in ("s1", "s2"):
        proxies.answer(key)
    assert set(proxies.hub.progress().values()) == {Progress.ACKNOWLEDGED}
    assert proxies.hub.roll_back(0.0, "3-back", 0.0) == {}
    proxies.world(worlds.world(FOR_STORE), "3")
    assert proxies.hub.rolled_back is None


def test_a_client_of_the_delta_protocol_is_sent_what_changed() -> None:
    hub = Hub(worlds.world(), "1", Metrics())
    hub.open("d1", delta=True)
    client = DeltaClient(worlds.STORE)

    def take(responses: Sequence[object]) -> list[DeltaResponse]:
        seen: list[DeltaResponse] = []
        waiting = list(responses)
        while waiting:
            response = waiting.pop(0)
            assert isinstance(response, DeltaResponse)
            seen.append(response)
            waiting += hub.on_request("d1", client.ack(response), 0.0)
            if response.type_url == CLUSTER:
                names = {name for name in client.accepted(CLUSTER) if name.startswith("outbound")}
                asked = client.subscribe(ENDPOINT, names)
                waiting += hub.on_request("d1", asked, 0.0) if asked is not None else []
            if response.type_url == LISTENER:
                asked = client.subscribe(ROUTE, {"8380", "8480"})
                waiting += hub.on_request("d1", asked, 0.0) if asked is not None else []
        return seen

    for request in client.start():
        take(hub.on_request("d1", request, 0.0))
    assert hub.progress() == {"store.default": Progress.ACKNOWLEDGED}
    sent, affected = hub.set_world(worlds.world(TIMEOUT), "2", 0.0)
    assert affected == {"store.default"}
    (response,) = take(sent["d1"])
    assert (response.type_url, [name for name, _, _ in response.resources]) == (ROUTE, ["8380"])
    assert hub.progress() == {"store.default": Progress.ACKNOWLEDGED}

"""A thousand Services and as many pods of a real API server, whose nodes kwok plays, under the control plane as a process:
proxies of both protocols have all of it, and of a change they are sent what it touches and no more."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import pytest_asyncio
import yaml

from mesh_api.config import Endpoint, HealthStatus, RouteAction, SocketAddress
from mesh_api.node import Node
from mesh_api.xds.session import Response
from mesh_api.xds.type_urls import CLUSTER, ENDPOINT, ROUTE, SHORT_NAMES
from mesh_control.sources.kubernetes.api import MERGE
from mesh_policy.schema.crds import definitions
from tests.integration.mesh_control import harness
from tests.integration.mesh_control.delta_peer import DeltaPeer
from tests.integration.mesh_control.harness import ControlPlane
from tests.integration.mesh_control.kubernetes.test_reporting import DONE
from tests.integration.mesh_control.kubernetes.watched import poll
from tests.support import go_programs, kube_apiserver, many_pods, simulated_nodes
from tests.support.kube_apiserver import Client, Server, path_of
from tests.support.many_pods import Value, cluster_of, host_of, name_of, namespace_of

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(2400),  # the programs' first build
    pytest.mark.asyncio(loop_scope="module"),
]
SERVICES = 1000


class Peer(harness.Peer):
    """It remembers what it was sent, as those of the delta protocol do."""

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self.received: list[Response] = []

    def _take(self, response: Response) -> None:
        self.received.append(response)
        super()._take(response)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plane(started: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ControlPlane]:
    """A control plane in a cluster where all pods run."""
    try:
        simulated_nodes.build()
    except go_programs.NotBuiltError as reason:
        pytest.skip(str(reason))

    await started.ready()
    with simulated_nodes.playing(started) as players:
        async with kube_apiserver.client(started) as client:
            await client.apply(*definitions())
            await many_pods.fill(players, client, SERVICES)
        found = ControlPlane(tmp_path_factory.mktemp("plane"), inventory={"services": [], "workloads": []})
        settings = yaml.safe_load(found.config.read_text())
        section = {"kubeconfig": str(started.kubeconfig()), "identity": "one"}
        found.config.write_text(yaml.safe_dump({**settings, "kubernetes": section}))
        found.start()
        try:
            yield found
        finally:
            assert found.end(signal.SIGTERM) == 0, found.log


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(started: Server, plane: ControlPlane) -> AsyncIterator[Client]:
    """Somebody who may do everything, for as long as the proxies are connected."""
    async with kube_apiserver.client(started) as found:
        yield found


@dataclass(frozen=True, slots=True)
class Proxies:
    """The sidecars of two pods, one of each protocol, connected. What a test changes, it takes back."""

    world: Peer
    delta: DeltaPeer

    async def until(self, holds: Callable[[Peer | DeltaPeer], Any]) -> None:
        """Wait until that holds of both."""
        await asyncio.gather(*(peer.until(partial(_holds, holds, peer)) for peer in (self.world, self.delta)))

    @contextlib.asynccontextmanager
    async def told(self) -> AsyncIterator["Told"]:
        """What each is sent within; there at the end."""
        marks, found = (len(self.world.received), len(self.delta.received)), Told(set(), set())
        yield found
        for response in self.world.received[marks[0] :]:
            found.world.update((SHORT_NAMES[response.type_url], name) for name, _ in response.resources)
        for change in self.delta.received[marks[1] :]:
            names = (*(name for name, *_ in change.resources), *change.removed)
            found.delta.update((SHORT_NAMES[change.type_url], name) for name in names)


def _holds(holds: Callable[[Peer | DeltaPeer], Any], peer: Peer | DeltaPeer) -> bool:
    return bool(holds(peer))


@dataclass(frozen=True, slots=True)
class Told:
    """Discovery service and name of each resource that came or went, by protocol."""

    world: set[tuple[str, str]]
    delta: set[tuple[str, str]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def proxies(plane: ControlPlane, client: Client) -> AsyncIterator[Proxies]:
    nodes = [await sidecar(client, number) for number in (1, 2)]
    found = Proxies(Peer(nodes[0]), DeltaPeer(nodes[1]))
    tasks = [asyncio.create_task(peer.run(plane.xds_port, plane.token)) for peer in (found.world, found.delta)]
    try:
        await found.until(lambda peer: resources(peer, ROUTE))
        assert (await plane.client.wait(harness.LIMIT))["waiting"] == []
        yield found
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def sidecar(client: Client, number: int) -> Node:
    """That of the first pod of a Service."""
    pod = await client.get(many_pods.workload(number, "v1"))
    name, namespace, labels = (pod["metadata"][key] for key in ("name", "namespace", "labels"))
    of = f"{name}.{namespace}~{namespace}.svc.cluster.local"
    return Node(f"sidecar~{pod['status']['podIP']}~{of}", metadata={"LABELS": labels})


def resources(peer: Peer | DeltaPeer, kind: str) -> set[str]:
    """Names of what it has."""
    return set(peer.session.accepted(kind) if isinstance(peer, DeltaPeer) else peer.names(kind))


def outbound(peer: Peer | DeltaPeer, subset: str = "") -> set[str]:
    """Its clusters of our Services."""
    start = f"outbound|{many_pods.PORT}|{subset}|{name_of(0).partition('-')[0]}-"
    return {name for name in resources(peer, CLUSTER) if name.startswith(start)}


def hosts(peer: Peer | DeltaPeer, cluster: str) -> set[str]:
    """Addresses that a cluster's requests go to."""
    if cluster not in resources(peer, ENDPOINT):
        return set()
    found = [each for locality in peer.resource(ENDPOINT, cluster).localities for each in locality.endpoints]
    return {shown(each) for each in found if each.health is not HealthStatus.UNHEALTHY}


def shown(endpoint: Endpoint) -> str:
    assert isinstance(endpoint.address, SocketAddress)
    return f"{endpoint.address.address}:{endpoint.address.port}"


def zones(peer: Peer | DeltaPeer) -> set[tuple[str, str]]:
    """Address and zone of every endpoint of our Services."""
    localities = [each for cluster in outbound(peer) for each in peer.resource(ENDPOINT, cluster).localities]
    return {(shown(endpoint), each.zone) for each in localities for endpoint in each.endpoints}


def complete(peer: Peer | DeltaPeer, expected: Mapping[str, set[str]]) -> bool:
    return all(hosts(peer, cluster) == addresses for cluster, addresses in expected.items())


async def test_proxies_have_every_service_and_every_pod(proxies: Proxies, client: Client, plane: ControlPlane) -> None:
    expected = await many_pods.expected(client, SERVICES)
    assert (len(expected), len(set[str]().union(*expected.values()))) == (SERVICES, SERVICES)
    for peer in (proxies.world, proxies.delta):
        assert outbound(peer) == expected.keys()
        assert {cluster: hosts(peer, cluster) for cluster in expected} == expected
        (table,) = [peer.resource(ROUTE, name) for name in resources(peer, ROUTE) if name == str(many_pods.PORT)]
        domains = {domain for host in table.virtual_hosts for domain in host.domains}
        assert {host_of(number) for number in range(SERVICES)} <= domains
    assert zones(proxies.delta) == {
        (f"{pod['status']['podIP']}:{many_pods.TARGET}", many_pods.zone_of(pod["spec"]["nodeName"]))
        for pod in await many_pods.ready_pods(client)
    }
    status = await plane.client.status()
    assert (status["problems"], {"name": "kubernetes", "synced": True} in status["sources"]) == ([], True)


async def test_of_a_pod_that_is_not_ready_and_of_one_that_goes_its_service_alone_is_sent(
    proxies: Proxies, client: Client
) -> None:
    number = 10
    cluster, (stays, goes) = cluster_of(number), [many_pods.workload(number, version) for version in ("v1", "v2")]
    one, other = [(await client.get(pod))["status"]["podIP"] for pod in (stays, goes)]
    addresses = {f"{address}:{many_pods.TARGET}" for address in (one, other)}
    await proxies.until(lambda peer: hosts(peer, cluster) == addresses)
    async with proxies.told() as sent:
        condition = {"type": "Ready", "status": "False"}
        await client.api.request(
            "PATCH", path_of(stays, "/status"), {"status": {"conditions": [condition]}}, content=MERGE
        )
        await proxies.until(lambda peer: hosts(peer, cluster) == {f"{other}:{many_pods.TARGET}"})
        await client.delete(goes)
        await proxies.until(lambda peer: not hosts(peer, cluster))
        await client.api.request(
            "PATCH",
            path_of(stays, "/status"),
            {"status": {"conditions": [{**condition, "status": "True"}]}},
            content=MERGE,
        )
        await proxies.until(lambda peer: hosts(peer, cluster) == {f"{one}:{many_pods.TARGET}"})
    assert sent.world == sent.delta == {("EDS", cluster)}
    await many_pods.create(client, [goes])
    await proxies.until(lambda peer: len(hosts(peer, cluster)) == 2)
    assert complete(proxies.delta, await many_pods.expected(client, SERVICES))


async def test_the_pods_of_a_deployment_that_grows_and_shrinks(proxies: Proxies, client: Client) -> None:
    number = 50
    deployment, cluster = many_pods.workload(number, "v1"), cluster_of(number)
    await proxies.until(lambda peer: len(hosts(peer, cluster)) == 2)
    async with proxies.told() as sent:
        for replicas in (4, 1):
            await client.api.request("PATCH", path_of(deployment), {"spec": {"replicas": replicas}}, content=MERGE)
            await proxies.until(lambda peer: len(hosts(peer, cluster)) == replicas + 1)  # noqa: B023 (it is awaited here)
    assert sent.world == sent.delta == {("EDS", cluster)}
    expected = await many_pods.expected(client, SERVICES)
    await proxies.until(lambda peer: complete(peer, expected))


async def test_a_service_that_comes_and_goes_again(proxies: Proxies, client: Client) -> None:
    number = SERVICES + 1
    new, cluster = [many_pods.service(number), many_pods.workload(number, "v1")], cluster_of(number)
    before = outbound(proxies.delta)
    async with proxies.told() as sent:
        await many_pods.create(client, new)
        await proxies.until(lambda peer: len(hosts(peer, cluster)) == 1)
        assert hosts(proxies.world, cluster) == (await many_pods.expected(client, number + 1))[cluster]
        await proxies.until(lambda peer: outbound(peer) == before | {cluster})
    # The table of routes has all hosts of its port. (Of clusters the other protocol always sends all.)
    assert sent.delta == {("CDS", cluster), ("EDS", cluster), ("RDS", str(many_pods.PORT))}
    await client.delete(*new)
    await proxies.until(lambda peer: outbound(peer) == before)


async def test_policies_are_sent_and_told_to_have_been_taken(proxies: Proxies, client: Client) -> None:
    number, versions = 0, ("v1", "v2")
    subsets = [{"name": version, "labels": {"version": version}} for version in versions]
    rule = policy("DestinationRule", number, {"host": host_of(number), "subsets": subsets})
    expected = {}
    for version in versions:
        cluster = cluster_of(number, version)
        expected[cluster] = (await many_pods.expected(client, number + 1, version))[cluster]
    async with proxies.told() as sent:
        await client.apply(rule)
        await proxies.until(lambda peer: complete(peer, expected))
    assert [len(addresses) for addresses in expected.values()] == [1, 1]
    assert {(kind, name) for kind in ("CDS", "EDS") for name in expected} <= sent.delta
    assert {name.rpartition("|")[2] for _, name in sent.delta} == {host_of(number)}

    destinations = [
        {"destination": {"host": host_of(number), "subset": version}, "weight": weight}
        for version, weight in zip(versions, (90, 10), strict=True)
    ]
    shares = policy("VirtualService", number, {"hosts": [host_of(number)], "http": [{"route": destinations}]})
    async with proxies.told() as sent:
        await client.apply(shares)
        await proxies.until(lambda peer: weights(peer, number) == dict(zip(expected, (90, 10), strict=True)))
    assert sent.world == sent.delta == {("RDS", str(many_pods.PORT))}
    await poll(partial(client.get, shares), lambda value: conditions(value) == DONE)
    await client.delete(rule, shares)
    await proxies.until(lambda peer: not weights(peer, number) and not outbound(peer, "v1"))


def policy(kind: str, number: int, spec: Value) -> Value:
    metadata = {"name": name_of(number), "namespace": namespace_of(number)}
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


def conditions(value: Value) -> dict[str, tuple[str, str]]:
    """As :data:`DONE` has them."""
    return {each["type"]: (each["status"], each["reason"]) for each in value.get("status", {}).get("conditions", ())}


def weights(peer: Peer | DeltaPeer, number: int) -> dict[str, int]:
    """How the requests to a Service are shared out among clusters; empty where they are not."""
    table = peer.resource(ROUTE, str(many_pods.PORT))
    (host,) = [each for each in table.virtual_hosts if host_of(number) in each.domains]
    action = host.routes[0].action
    assert isinstance(action, RouteAction)
    return {cluster.name: cluster.weight for cluster in action.weighted_clusters}

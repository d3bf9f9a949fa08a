"""A cluster of many Services and as many pods, on nodes that kwok plays (:mod:`tests.support.simulated_nodes`).

Of ten Services one has a pod of each of two versions, one has none yet, and the others have one. One of fifty has its pods by
a Deployment for each version.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from tests.support.kube_apiserver import Client, path_of
from tests.support.simulated_nodes import Players

Value = dict[str, Any]
T = TypeVar("T")
NODES, NAMESPACES = 10, 5
PORT, TARGET = 80, 8080
AT_ONCE = 16
"""Requests under way."""
PATIENCE = 180.0
"""Seconds until all pods of a cluster run: a machine may be busy."""


def namespace_of(number: int) -> str:
    """Of a Service, by its number."""
    return f"team-{number % NAMESPACES}"


def name_of(number: int) -> str:
    """A Service's."""
    return f"svc-{number}"


def host_of(number: int) -> str:
    """As clients call it."""
    return f"{name_of(number)}.{namespace_of(number)}.svc.cluster.local"


def cluster_of(number: int, subset: str = "") -> str:
    """The proxies' cluster of it."""
    return f"outbound|{PORT}|{subset}|{host_of(number)}"


def versions_of(number: int) -> tuple[str, ...]:
    """Of which a Service has a pod each."""
    return {0: ("v1", "v2"), 9: ()}.get(number % 10, ("v1",))


def deployed(number: int) -> bool:
    """Whether its pods are a Deployment's."""
    return number % 50 == 0


def zone_of(node: str) -> str:
    """Of two."""
    return f"zone-{int(node.rpartition('-')[2]) % 2}"


def nodes() -> Iterator[Value]:
    for number in range(NODES):
        name = f"node-{number}"
        labels = {"topology.kubernetes.io/region": "here", "topology.kubernetes.io/zone": zone_of(name)}
        metadata = {"name": name, "labels": labels}
        yield {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {"podCIDR": f"10.244.{number}.0/24"}}


def namespaces() -> Iterator[Value]:
    for number in range(NAMESPACES):
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace_of(number)}}


def service(number: int) -> Value:
    ports = [{"name": "http", "port": PORT, "targetPort": TARGET}]
    spec = {"selector": {"app": name_of(number)}, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _metadata(number, name_of(number)), "spec": spec}


def workload(number: int, version: str) -> Value:
    """A pod of a version of a Service, or a Deployment of one."""
    name, labels = f"{name_of(number)}-{version}", {"app": name_of(number), "version": version}
    container = {"name": "app", "image": "app", "ports": [{"name": "http", "containerPort": TARGET}]}
    spec = {"nodeName": f"node-{number // NAMESPACES % NODES}", "containers": [container]}
    if not deployed(number):
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**_metadata(number, name), "labels": labels},
            "spec": spec,
        }
    template = {"metadata": {"labels": labels}, "spec": spec}
    deployment = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": _metadata(number, name), "spec": deployment}


def workloads(services: int) -> Iterator[Value]:
    """Those of so many Services."""
    for number in range(services):
        for version in versions_of(number):
            yield workload(number, version)


def _metadata(number: int, name: str) -> Value:
    return {"name": name, "namespace": namespace_of(number)}


async def create(client: Client, values: Iterable[Value]) -> None:
    """New objects, several at once."""
    waiting = iter(values)

    async def work() -> None:
        for value in waiting:
            await client.api.request("POST", path_of(value).rpartition("/")[0], value)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))


async def fill(players: Players, client: Client, services: int) -> None:
    """Nodes, namespaces, Services and pods; returns when all pods run and all slices have them."""
    await create(client, [*nodes(), *namespaces()])
    pods = sum(len(versions_of(number)) for number in range(services))
    await create(client, workloads(services))
    await until(players, lambda: ready_pods(client), lambda found: len(found) == pods)
    # With all pods there, each Service's slice is written once.
    await create(client, map(service, range(services)))
    await until(players, lambda: in_slices(client), lambda found: len(found) == pods)


async def until(players: Players, ask: Callable[[], Awaitable[list[T]]], holds: Callable[[list[T]], bool]) -> list[T]:
    """Ask until that holds of the answer."""
    deadline = time.monotonic() + PATIENCE
    while not holds(found := await ask()):
        players.check()
        assert time.monotonic() < deadline, f"{len(found)} after {PATIENCE:g} s"
        await asyncio.sleep(1.0)  # the answers are long
    return found


async def ready_pods(client: Client) -> list[Value]:
    """Pods that get requests, as the API has them."""
    found = await client.api.request("GET", "/api/v1/pods")
    return [pod for pod in found["items"] if is_ready(pod)]


def is_ready(pod: Mapping[str, Any]) -> bool:
    conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions", ())}
    ending = "deletionTimestamp" in pod["metadata"]
    return bool(pod["status"].get("podIP")) and conditions.get("Ready") == "True" and not ending


async def in_slices(client: Client) -> list[str]:
    """Addresses of pods of all EndpointSlices that are ready."""
    found = await client.api.request("GET", "/apis/discovery.k8s.io/v1/endpointslices")
    endpoints = [each for one in found["items"] for each in one["endpoints"] or () if each.get("targetRef")]
    return [address for each in endpoints if each["conditions"]["ready"] for address in each["addresses"]]


async def expected(client: Client, services: int, version: str | None = None) -> dict[str, set[str]]:
    """Each cluster, and the addresses that it must have by the pods themselves, not by slices; of one version, or of all."""
    of: dict[tuple[str, str], set[str]] = defaultdict(set)
    for pod in await ready_pods(client):
        labels = pod["metadata"]["labels"]
        if version in (None, labels["version"]):
            of[pod["metadata"]["namespace"], labels["app"]].add(f"{pod['status']['podIP']}:{TARGET}")
    subset = version or ""
    return {cluster_of(n, subset): of[namespace_of(n), name_of(n)] for n in range(services)}

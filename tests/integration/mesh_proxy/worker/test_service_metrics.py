"""Istio's metrics at both ends: a client's worker and a server's, which tell each other who they are."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from mesh_api.config import (
    Cluster,
    DirectResponse,
    Endpoint,
    FilterChain,
    Listener,
    LocalityEndpoints,
    ProxyConfig,
    ServiceName,
    SocketAddress,
    TcpProxy,
    TrafficDirection,
)
from mesh_proxy import ipc
from tests.integration.mesh_proxy.worker.harness import Servers
from tests.support.proxy_config import ANY_PORT, cluster, host, http_listener, route
from tests.support.raw_http import Client, Request, answer
from tests.support.worker_process import WorkerProcess

pytestmark = pytest.mark.integration

STORE = ServiceName("store.shop.svc.cluster.local", "store", "shop")


def introduced(name: str, cluster_id: str) -> ipc.Introduce:
    labels = {"app": name, "version": "v1", "service.istio.io/canonical-name": f"{name}-service"}
    metadata = {"WORKLOAD_NAME": f"{name}-v1", "NAMESPACE": "shop", "CLUSTER_ID": cluster_id, "LABELS": labels}
    return ipc.Introduce(f"sidecar~10.0.0.1~{name}.shop~shop.svc.cluster.local", metadata)


def listener(direction: TrafficDirection, *routes: Any, **fields: Any) -> Listener:
    return replace(http_listener(host(*routes), **fields), traffic_direction=direction)


def described(port: int, workload: str = "", **fields: Any) -> Cluster:
    """A cluster of a service; ``workload`` is what discovery says of its one host."""
    metadata = (("workload", workload),) if workload else ()
    found = cluster("outbound|80||store", port, services=(STORE,), **fields)
    assert found.load_assignment is not None
    hosts = LocalityEndpoints((Endpoint(SocketAddress("127.0.0.1", port), metadata=metadata),))
    return replace(found, load_assignment=replace(found.load_assignment, localities=(hosts,)))


class Ends(NamedTuple):
    client: WorkerProcess
    server: WorkerProcess


@pytest.fixture
def ends() -> Iterator[Ends]:
    with contextlib.ExitStack() as stack:
        made = Ends(stack.enter_context(WorkerProcess()), stack.enter_context(WorkerProcess()))
        made.client.send(introduced("shopper", "one"))
        made.server.send(introduced("store", "two"))
        yield made


def numbers(worker: WorkerProcess, name: str) -> list[tuple[dict[str, str], Any]]:
    return [(dict(labels), value) for (metric, labels), value in worker.stats().labelled.items() if metric == name]


def run(worker: WorkerProcess, config: ProxyConfig) -> None:
    taken = worker.apply(config)
    assert isinstance(taken, ipc.Applied), taken


SOURCE = {
    "source_workload": "shopper-v1",
    "source_workload_namespace": "shop",
    "source_app": "shopper",
    "source_version": "v1",
    "source_cluster": "one",
    "source_canonical_service": "shopper-service",
    "source_canonical_revision": "v1",
    "source_principal": "unknown",
}
DESTINATION = {name.replace("source", "destination"): value for name, value in SOURCE.items()} | {
    "destination_workload": "store-v1",
    "destination_app": "store",
    "destination_cluster": "two",
    "destination_canonical_service": "store-service",
}
SERVICE = {
    "destination_service": "store.shop.svc.cluster.local",
    "destination_service_name": "store",
    "destination_service_namespace": "shop",
}
WHAT = {"request_protocol": "http", "response_code": "200", "grpc_response_status": "", "response_flags": "-"}


def test_both_ends_know_who_asks_whom(ends: Ends, servers: Servers) -> None:
    backend, port = servers.http()
    run(ends.server, ProxyConfig((listener(TrafficDirection.INBOUND, route("/", "app")),), clusters=(
        cluster("app", port, services=(STORE,)),
    )))  # fmt: skip
    inner = ends.server.port("http")
    run(ends.client, ProxyConfig((listener(TrafficDirection.OUTBOUND, route("/", "outbound|80||store")),), clusters=(
        described(inner),
    )))  # fmt: skip
    with Client(ends.client.port("http")) as client:
        for _ in range(3):
            reply = client.get("/", "POST", b"12345")
            assert reply.status == 200
            assert not any("peer-metadata" in name for name in reply.fields)
    assert not any("peer-metadata" in name for request in backend.requests for name in request.fields)
    everything = SOURCE | DESTINATION | SERVICE | WHAT
    ((theirs, count),) = numbers(ends.server, "istio_requests_total")
    assert count == 3
    assert theirs == everything | {"reporter": "destination", "connection_security_policy": "none"}
    ((ours, count),) = numbers(ends.client, "istio_requests_total")
    assert count == 3
    assert ours == everything | {"reporter": "source", "connection_security_policy": "unknown"}
    for name, least in (("istio_request_bytes", 15), ("istio_response_bytes", 6)):
        ((labels, sizes),) = numbers(ends.client, name)
        assert labels == ours
        assert sizes.count == 3
        assert sizes.sum >= least
    ((_, times),) = numbers(ends.client, "istio_request_duration_milliseconds")
    assert times.count == 3


def test_a_host_is_known_by_discovery(ends: Ends, servers: Servers) -> None:
    _, port = servers.http()
    config = ProxyConfig((listener(TrafficDirection.OUTBOUND, route("/", "outbound|80||store")),), clusters=(
        described(port, "cart-v7;carts;cart;v7;three"),
    ))  # fmt: skip
    run(ends.client, config)
    with Client(ends.client.port("http")) as client:
        client.get()
    ((labels, _),) = numbers(ends.client, "istio_requests_total")
    assert labels["destination_workload"] == "cart-v7"
    assert labels["destination_workload_namespace"] == "carts"
    assert labels["destination_canonical_service"] == "cart"
    assert labels["destination_cluster"] == "three"


def test_every_outcome_has_a_series(ends: Ends, servers: Servers) -> None:
    def by_path(request: Request) -> bytes:
        if request.target == "/call":
            return b"HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: 5\r\ncontent-length: 0\r\n\r\n"
        return answer(status=f"{request.target[1:]} Status")

    _, port = servers.http(by_path)
    routes = (
        route("/nowhere", "missing"),
        route("/refused", "refused"),
        route("/direct", DirectResponse(418)),
        route("/", "outbound|80||store"),
    )
    run(ends.client, ProxyConfig((listener(TrafficDirection.OUTBOUND, *routes),), clusters=(
        described(port), cluster("refused", servers.nobody()),
    )))  # fmt: skip
    with Client(ends.client.port("http")) as client:
        for path in ("/200", "/200", "/404", "/503", "/nowhere", "/refused", "/direct"):
            client.get(path)
        client.get("/call", content_type="application/grpc")
    found = {
        (labels["response_code"], labels["response_flags"], labels["destination_service_name"]): count
        for labels, count in numbers(ends.client, "istio_requests_total")
        if labels["request_protocol"] == "http"
    }
    assert found == {
        ("200", "-", "store"): 2,
        ("404", "-", "store"): 1,
        ("503", "-", "store"): 1,
        ("503", "NC", "test"): 1,
        ("503", "UF", "test"): 1,
        ("418", "-", "test"): 1,
    }
    calls = [
        labels for labels, _ in numbers(ends.client, "istio_requests_total") if labels["request_protocol"] == "grpc"
    ]
    assert [(labels["response_code"], labels["grpc_response_status"]) for labels in calls] == [("200", "5")]


def test_connections_of_tcp_are_counted_with_their_bytes(ends: Ends, servers: Servers) -> None:
    server = servers.script(lambda wire, number: wire.send(wire.rest() * 2))
    chain = FilterChain(TcpProxy("test", "outbound|80||store"))
    config = Listener("tcp", ANY_PORT, (chain,), traffic_direction=TrafficDirection.OUTBOUND)
    run(ends.client, ProxyConfig((config,), clusters=(described(server.port, "cart-v7;carts;cart;v7;three"),)))
    with Client(ends.client.port("tcp")) as client:
        client.send(b"12345")
        client.end()
        assert client.rest() == b"1234512345"
    names = ("connections_opened", "connections_closed", "received_bytes", "sent_bytes")
    found = {name: numbers(ends.client, f"istio_tcp_{name}_total") for name in names}
    assert [[count for _, count in found[name]] for name in names] == [[1], [1], [5], [10]]
    ((labels, _),) = found["sent_bytes"]
    assert labels == SOURCE | {
        "destination_workload": "cart-v7",
        "destination_workload_namespace": "carts",
        "destination_app": "cart",
        "destination_version": "v7",
        "destination_cluster": "three",
        "destination_canonical_service": "cart",
        "destination_canonical_revision": "v7",
        "destination_principal": "unknown",
        "reporter": "source",
        "request_protocol": "tcp",
        "response_flags": "-",
        "connection_security_policy": "unknown",
    } | SERVICE  # fmt: skip


def test_a_listener_for_neither_direction_counts_no_services(ends: Ends, servers: Servers) -> None:
    _, port = servers.http()
    run(ends.client, ProxyConfig((http_listener(host(route("/", "outbound|80||store"))),), clusters=(described(port),)))
    with Client(ends.client.port("http")) as client:
        client.get()
    assert ends.client.stats().labelled == {}

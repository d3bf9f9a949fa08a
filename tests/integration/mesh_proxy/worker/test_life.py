"""The worker's life: configurations come and go under way, are refused, and the end is gentle."""

import dataclasses
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from mesh_api.config import (
    AccessLog,
    Cluster,
    ClusterType,
    CorsFilter,
    DirectResponse,
    FilterChain,
    HeaderEdits,
    HeaderValue,
    HttpProtocolOptions,
    Listener,
    PathMatchKind,
    PipeAddress,
    ProxyConfig,
    Redirect,
    RegexRewrite,
    RouteAction,
    RouterFilter,
    SocketAddress,
)
from mesh_proxy import ipc
from tests.integration.mesh_proxy.worker.harness import Proxy, Servers
from tests.support.proxy_config import (
    ANY_PORT,
    cluster,
    host,
    http_config,
    http_listener,
    manager,
    match,
    route,
    tcp_config,
)
from tests.support.raw_http import Client, answer
from tests.support.worker_process import LIMIT

pytestmark = pytest.mark.integration


def marked(name: str) -> HeaderEdits:
    return HeaderEdits(request_set=(HeaderValue("x-config", name),), response_set=(HeaderValue("x-config", name),))


def test_a_request_under_way_ends_as_it_began_and_the_next_is_new(proxy: Proxy, servers: Servers) -> None:
    old, new = servers.manual(), servers.manual()
    proxy.routes(route("/", "old", edits=marked("old")), clusters=(cluster("old", old.port),))
    kept = proxy.client()
    kept.ask("/1")
    peer = old.accept()
    assert b"x-config: old\r\n" in peer.head()
    proxy.routes(route("/", "new", edits=marked("new")), clusters=(cluster("new", new.port),))
    peer.send(answer(b"from the old"))
    reply = kept.reply()
    assert (reply.body, reply.fields["x-config"]) == (b"from the old", "old")
    for client in (kept, proxy.client()):  # those that were there already, and those that come
        client.ask("/2")
    for wire in (new.accept(), new.accept()):
        assert b"x-config: new\r\n" in wire.head()
        wire.send(answer(b"from the new"))
    assert kept.reply().fields["x-config"] == "new"


def test_a_retry_after_a_new_configuration_keeps_to_its_own(proxy: Proxy, servers: Servers) -> None:
    """Its cluster is gone with the configuration; the request that began under it is answered all the same."""
    server = servers.manual()
    proxy.routes(route("/", "old"), clusters=(cluster("old", server.port),))
    client = proxy.client()
    client.ask()
    peer = server.accept()
    assert peer.head()
    proxy.routes(route("/", DirectResponse(200, b"new")))
    peer.reset()
    assert client.reply().status == 503
    assert client.get().body == b"new"


def test_many_configurations_harm_no_connection(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http(lambda request: answer(request.fields["x-config"].encode()))
    clients: list[Client] = []
    for number in range(100):
        edits = marked(str(number))
        proxy.routes(route("/", "backend", edits=edits), clusters=(cluster("backend", port),))
        clients = clients or [proxy.client() for _ in range(3)]
        assert [client.get().body for client in clients] == [str(number).encode()] * 3
    assert len({request.connection for request in backend.requests}) == 1
    assert proxy.counter("cluster.backend.upstream_rq_total") == 300


def test_a_host_that_leaves_is_asked_no_more_and_its_unused_connections_are_closed(
    proxy: Proxy, servers: Servers
) -> None:
    leaving, staying = servers.manual(), servers.manual()
    proxy.to(leaving.port)
    client = proxy.client()
    client.ask()
    unused = leaving.accept()
    assert unused.head()
    other = proxy.client()
    other.ask()
    busy = leaving.accept()
    assert busy.head()
    unused.send(answer())
    assert client.reply().status == 200
    proxy.to(staying.port)
    assert unused.ended()
    busy.send(answer(b"the last"))
    assert other.reply().body == b"the last"
    assert busy.ended()
    client.ask()
    assert staying.accept().head()


def test_a_cluster_that_leaves_takes_its_unused_connections_along(proxy: Proxy, servers: Servers) -> None:
    client, peer = proxy.asked(servers.manual())
    peer.send(answer())
    assert client.reply().status == 200
    proxy.routes()
    assert peer.ended()


def test_a_listener_that_leaves_takes_no_more_connections(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    proxy.to(server.port)
    port = proxy.port
    client = proxy.client()
    client.ask()
    peer = server.accept()
    assert peer.head()
    assert isinstance(proxy.worker.apply(ProxyConfig(clusters=(cluster("backend", server.port),))), ipc.Applied)
    with pytest.raises(ConnectionRefusedError):
        Client(port)
    peer.send(answer(b"the last"))
    assert client.reply().body == b"the last"
    client.ask()
    assert peer.head()
    peer.send(answer(b"one more"))
    reply = client.reply()
    assert (reply.body, reply.fields["connection"]) == (b"one more", "close")
    assert client.ended()


def test_a_listener_that_moves_is_found_at_its_new_place(proxy: Proxy) -> None:
    proxy.routes(route("/", DirectResponse(200, b"here")))
    old = proxy.port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    listener = http_listener(host(route("/", DirectResponse(200, b"there"))))
    proxy.run(ProxyConfig((dataclasses.replace(listener, address=SocketAddress("127.0.0.1", free)),)))
    assert proxy.port == free
    assert proxy.client().get().body == b"there"
    with pytest.raises(ConnectionRefusedError):
        Client(old)


def test_several_listeners_serve_at_once(proxy: Proxy, servers: Servers) -> None:
    server = servers.script(lambda wire, number: wire.send(b"bytes"))
    http = http_listener(host(route("/", DirectResponse(200, b"http"))))
    other = http_listener(host(route("/", DirectResponse(200, b"other"))), name="other")
    tcp = tcp_config(cluster("backend", server.port))
    proxy.run(ProxyConfig((http, other, *tcp.listeners), clusters=tcp.clusters))
    assert proxy.client().get().body == b"http"
    with Client(proxy.worker.port("other")) as client:
        assert client.get().body == b"other"
    with Client(proxy.worker.port("tcp")) as client:
        assert client.rest() == b"bytes"


@pytest.mark.parametrize("abstract", [True, False], ids=["abstract", "file"])
def test_a_listener_may_be_a_socket_in_the_file_system(proxy: Proxy, tmp_path: Path, abstract: bool) -> None:
    path = f"@{tmp_path}/abstract" if abstract else f"{tmp_path}/socket"
    listener = http_listener(host(route("/", DirectResponse(200, b"ok"))))
    taken = proxy.worker.apply(ProxyConfig((dataclasses.replace(listener, address=PipeAddress(path)),)))
    assert isinstance(taken, ipc.Applied)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(LIMIT)
        sock.connect("\0" + path[1:] if abstract else path)
        sock.sendall(b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")
        assert sock.makefile("rb").read().endswith(b"\r\n\r\nok")
    assert isinstance(proxy.worker.apply(ProxyConfig()), ipc.Applied)
    assert not Path(path).exists()


def listener_of(**fields: Any) -> ProxyConfig:
    return http_config((route("/", DirectResponse(200)),), (), **fields)


REFUSED = {
    "a path that is no expression": (
        http_config((route(match("(", PathMatchKind.REGEX), DirectResponse(200)),), ()),
        "listener http",
    ),
    "a rewrite that is no expression": (
        http_config((route("/", RouteAction("a", regex_rewrite=RegexRewrite("(", ""))),), ()),
        "listener http",
    ),
    "a redirect that is no expression": (
        http_config((route("/", Redirect(regex_rewrite=RegexRewrite("(", ""))),), ()),
        "listener http",
    ),
    "a log with an unknown operator": (
        listener_of(access_logs=(AccessLog("/dev/null", text_format="%NONSENSE%\n"),)),
        "listener http",
    ),
    "a field with an unknown operator": (
        http_config((route("/", "a", edits=HeaderEdits(request_set=(HeaderValue("x", "%NONSENSE%"),))),), ()),
        "listener http",
    ),
    "filters without a router": (listener_of(http_filters=(CorsFilter(),)), "listener http"),
    "a router before another filter": (listener_of(http_filters=(RouterFilter(), CorsFilter())), "listener http"),
    "a protocol that is not there": (
        ProxyConfig(clusters=(cluster("backend", 1, http=HttpProtocolOptions("auto")),)),
        "cluster backend",
    ),
    "hosts that are not there": (ProxyConfig(clusters=(Cluster("backend", ClusterType.EDS),)), "endpoints backend"),
    "routes that are not there": (
        ProxyConfig(
            (
                Listener(
                    "http",
                    ANY_PORT,
                    (FilterChain(dataclasses.replace(manager(()), route_config=None, rds_name="gone")),),
                ),
            )
        ),
        "route configuration gone",
    ),
    "an address that is not ours": (
        ProxyConfig((dataclasses.replace(http_listener(), address=SocketAddress("192.0.2.1", 1)),)),
        "listener http",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_configuration_that_cannot_be_run_is_refused_by_name_and_the_old_one_stays(case: str, proxy: Proxy) -> None:
    config, resource = REFUSED[case]
    proxy.routes(route("/", DirectResponse(200, b"as before")))
    before = proxy.client()
    assert before.get().body == b"as before"
    for _ in range(2):
        answered = proxy.worker.apply(config)
        assert isinstance(answered, ipc.Rejected)
        assert answered.resource == resource
        assert answered.reason
    assert before.get().body == b"as before"
    assert proxy.client().get().body == b"as before"
    proxy.routes(route("/", DirectResponse(200, b"after")))
    assert before.get().body == b"after"


def test_nothing_of_a_refused_configuration_is_done(proxy: Proxy) -> None:
    """Its good listener is not bound either."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    good = dataclasses.replace(http_listener(host()), address=SocketAddress("127.0.0.1", free))
    bad = dataclasses.replace(http_listener(host(), name="bad"), address=SocketAddress("192.0.2.1", 1))
    assert isinstance(proxy.worker.apply(ProxyConfig((good, bad))), ipc.Rejected)
    with pytest.raises(ConnectionRefusedError):
        Client(free)
    assert proxy.worker.stats().listeners == {}


def test_nothing_of_a_cluster_is_changed_by_a_refused_configuration(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http()
    proxy.to(port)
    client = proxy.client()
    assert client.get().status == 200
    elsewhere = cluster("backend", servers.nobody())
    bad = dataclasses.replace(http_listener(host(), name="bad"), address=SocketAddress("192.0.2.1", 1))
    refused = http_config((route("/", "backend"),), (elsewhere,))
    assert isinstance(
        proxy.worker.apply(dataclasses.replace(refused, listeners=(*refused.listeners, bad))), ipc.Rejected
    )
    assert client.get().status == 200
    assert {request.connection for request in backend.requests} == {1}


def test_a_drain_closes_what_is_unused_and_answers_what_is_under_way(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    proxy.to(server.port)
    unused, silent, busy, slow = (proxy.client() for _ in range(4))
    unused.ask()
    peer = server.accept()
    assert peer.head()
    peer.send(answer())
    assert unused.reply().status == 200
    busy.ask()
    assert peer.head()
    slow.send(b"PUT / HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\na")
    second = server.accept()
    assert second.head()
    second.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    proxy.worker.send(ipc.Drain(LIMIT))
    assert unused.ended()
    assert silent.ended()
    with pytest.raises(ConnectionRefusedError):
        Client(proxy.port)
    peer.send(answer(b"the last"))
    reply = busy.reply()
    assert (reply.body, reply.fields["connection"]) == (b"the last", "close")
    assert busy.ended()
    slow.send(b"b")
    assert second.exactly(2) == b"ab"
    second.send(answer(b"really the last"))
    reply = slow.reply()
    assert (reply.body, reply.fields["connection"]) == (b"really the last", "close")
    slow.sock.close()
    busy.sock.close()
    assert proxy.worker.receive() == ipc.Drained()


def test_a_drain_is_over_when_its_time_is(proxy: Proxy, servers: Servers) -> None:
    client, peer = proxy.asked(servers.manual())
    proxy.worker.send(ipc.Drain(0.1))
    assert proxy.worker.receive() == ipc.Drained()
    peer.send(answer(b"after all"))
    assert client.reply().body == b"after all"


def test_a_drain_of_a_worker_without_connections_is_over_at_once(proxy: Proxy) -> None:
    proxy.routes()
    proxy.worker.send(ipc.Drain(3600.0))
    assert proxy.worker.receive() == ipc.Drained()


def test_connections_of_tcp_may_go_on_while_the_worker_drains(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    proxy.run(tcp_config(cluster("backend", server.port)))
    client = proxy.client()
    wire = server.accept()
    proxy.worker.send(ipc.Drain(3600.0))
    client.send(b"still")
    assert wire.exactly(5) == b"still"
    client.end()
    wire.end()
    assert client.ended()
    assert proxy.worker.receive() == ipc.Drained()


def test_a_worker_ends_with_its_supervisor_and_not_by_its_signals(proxy: Proxy) -> None:
    proxy.routes(route("/", DirectResponse(200, b"ok")))
    process = proxy.worker.process
    for number in (signal.SIGTERM, signal.SIGINT):
        process.send_signal(number)
        assert proxy.client().get().body == b"ok"
    client = proxy.client()
    assert client.get().status == 200
    proxy.worker.close()
    assert process.returncode == 0
    assert client.ended()


def test_a_worker_says_why_it_refuses(proxy: Proxy) -> None:
    config, _ = REFUSED["a protocol that is not there"]
    answered = proxy.worker.apply(config)
    assert answered == ipc.Rejected(1, "cluster backend", "an upstream protocol that TLS is to agree on needs TLS")


def test_hosts_that_names_stand_for_are_found(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http()
    named = cluster("backend", port)
    assignment = named.load_assignment
    assert assignment is not None
    local = dataclasses.replace(assignment.localities[0].endpoints[0], address=SocketAddress("localhost", port))
    places = (dataclasses.replace(assignment.localities[0], endpoints=(local,)),)
    by_name = dataclasses.replace(
        named, type=ClusterType.STRICT_DNS, load_assignment=dataclasses.replace(assignment, localities=places)
    )
    proxy.routes(route(), clusters=(by_name,))
    proxy.until(lambda stats: stats.gauges["cluster.backend.membership_healthy"] > 0)
    assert proxy.client().get().status == 200
    assert backend.requests

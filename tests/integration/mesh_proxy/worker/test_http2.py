"""HTTP/2 from clients and to hosts, and every translation between it and HTTP/1.1."""

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator

import h2.connection
import pytest

from mesh_api.config import (
    CircuitBreakerThresholds,
    Cluster,
    CommonTls,
    DirectResponse,
    DownstreamTls,
    FilterChain,
    HttpProtocolOptions,
    Listener,
    ProxyConfig,
    RetryPolicy,
    RouteAction,
    SecretSource,
    UpstreamTls,
)
from mesh_proxy import ipc
from tests.integration.mesh_proxy.worker.harness import Proxy, Servers
from tests.support.authority import Authority
from tests.support.http2_peers import Http2Client, Message, Peer, serve
from tests.support.proxy_config import ANY_PORT, cluster, host, manager, route
from tests.support.raw_http import answer
from tests.support.worker_process import LIMIT

pytestmark = pytest.mark.integration
HTTP2 = HttpProtocolOptions(protocol="http2")
BODIES = [0, 1, 65_535, 65_536, 300_000, 3_000_000]


def spoken(name: str, *ports: int, **fields: object) -> Cluster:
    """A cluster whose hosts speak HTTP/2."""
    return cluster(name, *ports, **{"http": HTTP2} | fields)


@pytest.fixture
def client(proxy: Proxy) -> Iterator[Callable[[], Http2Client]]:
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(Http2Client(proxy.port))


def echo(seen: list[Message]) -> Callable[..., None]:
    """A server that answers with what it got."""
    return lambda wire, _: serve(lambda m: ([(b":status", b"200"), (b"x-server", b"2")], m.body, None), seen)(wire.sock)


# From clients.


def test_requests_of_http2_go_to_servers_of_http1(
    proxy: Proxy, servers: Servers, client: Callable[[], Http2Client]
) -> None:
    backend, port = servers.http(
        lambda request: answer(request.body, extra="x-server: 1\r\nconnection: keep-alive\r\n")
    )
    proxy.to(port)
    asked = client()
    for number in range(5):
        reply = asked.get(f"/{number}?q", x_client="1")
        assert (reply.status, reply.get("x-server"), reply.get("connection")) == (200, "1", None)
        assert reply.get("server") == "istio-envoy"
    assert [request.target for request in backend.requests] == [f"/{number}?q" for number in range(5)]
    assert backend.requests[0].fields["host"] == "test"
    assert backend.requests[0].fields["x-client"] == "1"
    assert backend.requests[0].fields["x-forwarded-proto"] == "http"
    assert {request.connection for request in backend.requests} == {1}
    assert proxy.counter("http.test.downstream_cx_http2_total") == 1


@pytest.mark.parametrize("size", BODIES)
@pytest.mark.parametrize("known", [True, False], ids=["length", "no length"])
def test_bodies_pass_to_http1(
    proxy: Proxy, servers: Servers, client: Callable[[], Http2Client], size: int, known: bool
) -> None:
    backend, port = servers.http(lambda request: answer(request.body))
    proxy.to(port)
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]
    fields = {"content_length": str(size)} if known else {}
    reply = client().get(method="PUT", body=body, **fields)
    assert (reply.status, reply.body) == (200, body)
    assert backend.requests[0].body == body
    assert ("transfer-encoding" in backend.requests[0].fields) is not known


def test_streams_are_answered_as_their_answers_come(
    proxy: Proxy, servers: Servers, client: Callable[[], Http2Client]
) -> None:
    server = servers.manual()
    proxy.to(server.port)
    asked = client()
    streams, peers = [], []
    for number in range(10):
        streams.append(asked.ask(f"/{number}"))
        peers.append(server.accept())
        assert peers[-1].head().startswith(b"GET /%d " % number)
    for stream, peer in reversed(list(zip(streams, peers, strict=True))):
        peer.send(answer(str(stream).encode()))
        assert asked.reply(stream).body == str(stream).encode()
    assert proxy.counter("cluster.backend.upstream_cx_total") == 10


def test_answers_without_content_end_with_their_head(
    proxy: Proxy, servers: Servers, client: Callable[[], Http2Client]
) -> None:
    replies = {"/204": "204 No Content", "/304": "304 Not Modified", "/200": "200 OK"}
    _, port = servers.http(
        lambda request: (
            answer(b"", replies[request.target]) if request.target != "/204" else b"HTTP/1.1 204 No Content\r\n\r\n"
        )
    )
    proxy.to(port)
    asked = client()
    for path, status in replies.items():
        reply = asked.get(path)
        assert (str(reply.status), reply.body) == (status[:3], b"")
    head = asked.get("/200", "HEAD")
    assert (head.status, head.body) == (200, b"")


def test_chunks_and_trailers_are_translated(proxy: Proxy, servers: Servers, client: Callable[[], Http2Client]) -> None:
    def answering(_request: object) -> bytes:
        return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-trailer: t\r\n\r\n"

    _, port = servers.http(answering)
    proxy.to(port)
    reply = client().get()
    assert (reply.body, reply.trailers) == (b"hello", [(b"x-trailer", b"t")])
    assert reply.get("transfer-encoding") is None


def test_own_answers(proxy: Proxy, servers: Servers, client: Callable[[], Http2Client]) -> None:
    dead = servers.nobody()
    proxy.routes(
        route("/direct", DirectResponse(403, b"no")), route("/dead", "dead"), clusters=(cluster("dead", dead),)
    )
    asked = client()
    direct = asked.get("/direct")
    assert (direct.status, direct.body, direct.get("content-length")) == (403, b"no", "2")
    assert asked.get("/nowhere").status == 404
    refused = asked.get("/dead")
    assert refused.status == 503
    assert refused.body.startswith(b"upstream connect error")


def test_own_answers_to_calls_of_grpc_are_of_grpc(
    proxy: Proxy, servers: Servers, client: Callable[[], Http2Client]
) -> None:
    proxy.routes(route("/dead", "dead"), clusters=(cluster("dead", servers.nobody()),))
    asked = client()
    for path, status, message in (
        ("/nowhere", "12", None),
        (
            "/dead",
            "14",
            "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure",
        ),
    ):
        reply = asked.get(path, "POST", b"\0\0\0\0\0", content_type="application/grpc")
        assert (reply.status, reply.body, reply.get("content-type")) == (200, b"", "application/grpc")
        assert (reply.get("grpc-status"), reply.get("grpc-message")) == (status, message)
    other = proxy.client().get("/nowhere", "POST", b"", content_type="application/grpc")
    assert (other.status, other.fields["grpc-status"], other.fields["content-length"]) == (200, "12", "0")


def test_an_answer_before_the_request_is_complete_ends_it(
    proxy: Proxy, servers: Servers, client: Callable[[], Http2Client]
) -> None:
    proxy.routes(route("/", DirectResponse(403, b"no")))
    asked = client()
    stream = asked.ask(method="PUT", end=False)
    reply = asked.reply(stream)
    assert (reply.status, reply.body) == (403, b"no")
    asked.until(lambda: asked.messages[stream].reset is not None)
    assert asked.messages[stream].reset == 0
    assert asked.get().status == 403  # the connection goes on


def test_a_request_that_is_given_up_is_given_up_towards_the_server(
    proxy: Proxy, servers: Servers, client: Callable[[], Http2Client]
) -> None:
    server = servers.manual()
    proxy.to(server.port)
    asked = client()
    stream = asked.ask()
    peer = server.accept()
    assert peer.head()
    asked.h2.reset_stream(stream, 8)
    asked.flush()
    assert peer.ended()
    proxy.until(lambda stats: stats.gauges["cluster.backend.upstream_rq_active"] == 0)


def test_a_slow_reader_does_not_fill_the_worker(proxy: Proxy, servers: Servers) -> None:
    _, port = servers.http(lambda request: answer(b"x" * 20_000_000))
    proxy.to(port)
    before = proxy.worker.memory_kib()
    with Http2Client(proxy.port, stingy=True) as asked:
        stream = asked.ask()
        for _ in range(300):
            proxy.worker.stats()
        asked.stingy = False
        message = asked.messages[stream]
        while not message.ended:
            assert asked.read()
            if not message.ended and asked.h2.remote_flow_control_window(stream) < 32_000:
                asked.h2.increment_flow_control_window(1_000_000)
                asked.h2.increment_flow_control_window(1_000_000, stream)
                asked.flush()
        assert len(message.body) == 20_000_000
    assert proxy.worker.memory_kib(peak=True) - before < 8_000


def test_an_upload_that_nobody_reads_is_held_back(
    proxy: Proxy, servers: Servers, client: Callable[[], Http2Client]
) -> None:
    server = servers.manual(receive_buffer=4096)
    proxy.to(server.port)
    before = proxy.worker.memory_kib()
    asked = client()
    stream = asked.ask(method="PUT", end=False)
    sent = 0
    while (window := min(asked.h2.local_flow_control_window(stream), 16384)) > 0:
        asked.h2.send_data(stream, b"x" * window)
        sent += window
        asked.flush()
    peer = server.accept()
    assert peer.head()
    asked.h2.end_stream(stream)
    asked.flush()
    content, _ = peer.chunks()
    assert len(content) == sent
    assert sent >= 65_535
    peer.send(answer())
    assert asked.reply(stream).status == 200
    assert proxy.worker.memory_kib(peak=True) - before < 30_000  # the windows are 16 MiB (Envoy)


def test_both_versions_on_one_port_and_over_tls(proxy: Proxy, servers: Servers) -> None:
    authority = Authority()
    certificate = authority.certificate("spiffe://a")
    _, port = servers.http()
    tls = DownstreamTls(CommonTls((SecretSource("default"),), alpn=("h2", "http/1.1")))
    chain = FilterChain(manager((host(route()),)), tls=tls)
    plain = FilterChain(manager((host(route()),)))
    clusters = (cluster("backend", port),)
    proxy.run(ProxyConfig((Listener("tls", ANY_PORT, (chain,)),), clusters=clusters), certificate)
    for agreed, spoken_protocol in ((("h2",), "h2"), (("http/1.1",), "http/1.1"), ((), None)):
        sock = authority.client(None, *agreed).wrap_socket(socket.create_connection(("127.0.0.1", proxy.port), LIMIT))
        assert isinstance(sock, ssl.SSLSocket)
        assert sock.selected_alpn_protocol() == spoken_protocol
        if spoken_protocol == "h2":
            with Http2Client(sock) as client:
                assert client.get().status == 200
        else:
            with sock:
                sock.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
                assert sock.recv(100).startswith(b"HTTP/1.1 200 ")
    proxy.run(ProxyConfig((Listener("plain", ANY_PORT, (plain,)),), clusters=clusters))
    with Http2Client(proxy.port) as client:
        assert client.get().status == 200
    assert proxy.client().get().status == 200


def test_a_preface_in_pieces(proxy: Proxy, servers: Servers) -> None:
    _, port = servers.http()
    proxy.to(port)
    with proxy.client() as raw:
        for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":
            raw.send(bytes((byte,)))
            proxy.worker.stats()
        raw.send(b"\0\0\0\4\0\0\0\0\0")
        assert raw.exactly(9)[3] == 4  # SETTINGS


def test_draining_lets_requests_finish_and_takes_no_more(
    proxy: Proxy, servers: Servers, client: Callable[[], Http2Client]
) -> None:
    server = servers.manual()
    proxy.to(server.port)
    idle, busy = client(), client()
    stream = busy.ask()
    peer = server.accept()
    assert peer.head()
    proxy.worker.send(ipc.Drain(LIMIT))
    idle.until(lambda: idle.gone is not None)
    busy.until(lambda: busy.gone is not None)
    peer.send(answer())
    assert busy.reply(stream).status == 200
    while busy.read():
        pass
    assert isinstance(proxy.worker.receive(), ipc.Drained)


def test_who_breaks_the_protocol_is_told_and_closed(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    proxy.to(server.port)
    with Http2Client(proxy.port) as asked:
        asked.ask()
        peer = server.accept()
        assert peer.head()
        asked.sock.sendall(b"\0\0\4\x08\0\0\0\0\0\0\0\0\0")  # a window update by nothing
        asked.until(lambda: asked.gone is not None)
        assert asked.gone.error_code == 1
        while asked.read():
            pass
        assert peer.ended()


# To hosts.


def test_requests_of_http1_go_to_servers_of_http2(proxy: Proxy, servers: Servers) -> None:
    seen: list[Message] = []
    port = servers.script(echo(seen)).port
    proxy.routes(route(), clusters=(spoken("backend", port),))
    client = proxy.client()
    for number in range(5):
        reply = client.get(f"/{number}", x_client="1", connection="keep-alive")
        assert (reply.status, reply.fields["x-server"], reply.body) == (200, "2", b"")
        assert reply.fields["content-length"] == "0"
    assert [m.get(":path") for m in seen] == [f"/{number}" for number in range(5)]
    first = seen[0]
    assert (first.get(":authority"), first.get(":scheme"), first.get("x-client")) == ("test", "http", "1")
    assert first.get("connection") is None
    assert proxy.counter("cluster.backend.upstream_cx_http2_total") == 1


@pytest.mark.parametrize("size", BODIES)
@pytest.mark.parametrize("chunked", [True, False], ids=["chunks", "length"])
def test_bodies_pass_to_http2(proxy: Proxy, servers: Servers, size: int, chunked: bool) -> None:
    port = servers.script(echo([])).port
    proxy.routes(route(), clusters=(spoken("backend", port),))
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]
    client = proxy.client()
    if chunked:
        client.send(b"PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
        for at in range(0, size, 50_000):
            piece = body[at : at + 50_000]
            client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        client.send(b"0\r\n\r\n")
        assert client.reply().body == body
    else:
        assert client.get(method="PUT", body=body).body == body


@pytest.mark.parametrize("size", BODIES)
def test_bodies_pass_from_http2_to_http2(
    proxy: Proxy, servers: Servers, client: Callable[[], Http2Client], size: int
) -> None:
    port = servers.script(echo([])).port
    proxy.routes(route(), clusters=(spoken("backend", port),))
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]
    asked = client()
    for _ in range(2):
        assert asked.get(method="PUT", body=body).body == body


def test_calls_of_grpc_keep_their_trailers(proxy: Proxy, servers: Servers, client: Callable[[], Http2Client]) -> None:
    def answering(message: Message) -> tuple[list[tuple[bytes, bytes]], bytes, list[tuple[bytes, bytes]]]:
        head = [(b":status", b"200"), (b"content-type", b"application/grpc")]
        return head, message.body, [(b"grpc-status", b"0"), (b"grpc-message", b"fine")]

    port = servers.script(lambda wire, _: serve(answering)(wire.sock)).port
    proxy.routes(route(), clusters=(spoken("backend", port),))
    reply = client().get("/s/m", "POST", b"\0\0\0\0\5hello", content_type="application/grpc", te="trailers")
    assert (reply.status, reply.body) == (200, b"\0\0\0\0\5hello")
    assert reply.trailers == [(b"grpc-status", b"0"), (b"grpc-message", b"fine")]


def test_many_requests_share_one_connection(proxy: Proxy, servers: Servers, client: Callable[[], Http2Client]) -> None:
    port = servers.script(echo([])).port
    proxy.routes(route(), clusters=(spoken("backend", port),))
    asked = client()
    streams = [asked.ask(f"/{number}") for number in range(80)]
    assert [asked.reply(stream).status for stream in streams] == [200] * 80
    assert proxy.counter("cluster.backend.upstream_cx_total") == 1


def manual(servers: Servers) -> tuple[int, Callable[[], Peer]]:
    """A server whose part the test plays."""
    server = servers.manual()
    return server.port, lambda: Peer(server.accept().sock, False)


def test_a_refused_stream_is_tried_again(proxy: Proxy, servers: Servers) -> None:
    port, accept = manual(servers)
    retry = RetryPolicy(("refused-stream",), num_retries=1)
    proxy.routes(route("/", RouteAction("backend", retry=retry)), clusters=(spoken("backend", port),))
    client = proxy.client()
    client.ask()
    with accept() as peer:
        peer.until(lambda: 1 in peer.messages and peer.messages[1].ended)
        peer.h2.reset_stream(1, 7)
        peer.flush()
        peer.until(lambda: 3 in peer.messages and peer.messages[3].ended)
        peer.h2.send_headers(3, [(":status", "200")], end_stream=True)
        peer.flush()
        assert client.reply().status == 200


@pytest.mark.parametrize("how", ["reset", "close"])
def test_a_stream_that_breaks_is_told(proxy: Proxy, servers: Servers, how: str) -> None:
    port, accept = manual(servers)
    proxy.routes(route(), clusters=(spoken("backend", port),))
    early, late = proxy.client(), proxy.client()
    late.ask("/late")
    with accept() as peer:
        peer.until(lambda: 1 in peer.messages and peer.messages[1].ended)
        peer.h2.send_headers(1, [(":status", "200"), ("content-length", "10")])
        peer.h2.send_data(1, b"12345")
        peer.flush()
        early.ask("/early")
        peer.until(lambda: 3 in peer.messages and peer.messages[3].ended)
        assert late.reply_head().status == 200
        if how == "reset":
            for number in (1, 3):
                peer.h2.reset_stream(number, 2)
            peer.flush()
    reply = early.reply()
    assert reply.status == 503
    assert b"reset reason: remote reset" in reply.body or b"connection termination" in reply.body
    assert late.rest() == b"12345"


def test_a_server_that_goes_away_gets_no_more(proxy: Proxy, servers: Servers) -> None:
    port, accept = manual(servers)
    proxy.routes(route(), clusters=(spoken("backend", port),))
    client = proxy.client()
    client.ask("/1")
    with accept() as first:
        first.until(lambda: 1 in first.messages and first.messages[1].ended)
        first.h2.close_connection()
        first.flush()
        proxy.worker.stats()
        first.h2.state_machine.state = h2.connection.ConnectionState.SERVER_OPEN  # a server may go on (RFC 9113 6.8)
        first.h2.send_headers(1, [(":status", "200")], end_stream=True)
        first.flush()
        assert client.reply().status == 200
        client.ask("/2")
        with accept() as second:
            second.until(lambda: 1 in second.messages and second.messages[1].ended)
            second.h2.send_headers(1, [(":status", "200")], end_stream=True)
            second.flush()
            assert client.reply().status == 200


def test_more_requests_than_the_server_takes_wait_for_their_turn(proxy: Proxy, servers: Servers) -> None:
    port, accept = manual(servers)
    limits = CircuitBreakerThresholds(max_connections=1)
    proxy.routes(route(), clusters=(spoken("backend", port, thresholds=limits),))
    clients = [proxy.client() for _ in range(3)]
    clients[0].ask("/0")
    with accept() as peer:
        peer.h2.update_settings({3: 1})  # one stream at a time
        peer.flush()
        peer.until(lambda: 1 in peer.messages and peer.messages[1].ended)
        proxy.worker.stats()
        for number, client in enumerate(clients[1:], 1):
            client.ask(f"/{number}")
        for number, client in enumerate(clients):
            stream = 2 * number + 1
            peer.until(lambda stream=stream: stream in peer.messages and peer.messages[stream].ended)
            assert stream + 2 not in peer.messages
            peer.h2.send_headers(stream, [(":status", "200")], end_stream=True)
            peer.flush()
            assert client.reply().status == 200


def test_over_tls_to_the_host(proxy: Proxy, servers: Servers) -> None:
    authority = Authority()
    context = authority.server(authority.certificate("a.example"), "h2")
    port = servers.script(
        lambda wire, _: serve(lambda m: ([(b":status", b"200")], m.body, None))(
            context.wrap_socket(wire.sock, server_side=True)
        )
    ).port
    proxy.routes(route(), clusters=(spoken("backend", port, tls=UpstreamTls(CommonTls(alpn=("h2",)))),))
    assert proxy.client().get(method="PUT", body=b"x" * 100_000).body == b"x" * 100_000


def test_the_clients_protocol_is_spoken_where_the_cluster_says_so(
    proxy: Proxy, servers: Servers, client: Callable[[], Http2Client]
) -> None:
    options = HttpProtocolOptions(protocol="downstream")
    first, second = servers.http()[1], servers.script(echo([])).port
    proxy.routes(route(), clusters=(cluster("backend", first, http=options),))
    assert proxy.client().get().status == 200
    proxy.routes(route(), clusters=(cluster("backend", second, http=options),))
    assert client().get().get("x-server") == "2"

"""HTTP/1.1 connections on both sides: kept, shared, closed when somebody says so."""

import pytest

from mesh_api.config import HttpProtocolOptions
from tests.integration.mesh_proxy.worker.harness import Proxy, Servers
from tests.support.proxy_config import cluster, route
from tests.support.raw_http import Request, answer

pytestmark = pytest.mark.integration


def test_one_connection_to_the_server_serves_many_requests(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http()
    proxy.to(port)
    client = proxy.client()
    for number in range(50):
        assert client.get(f"/{number}").body == b"ok"
    assert [request.target for request in backend.requests] == [f"/{number}" for number in range(50)]
    assert {request.connection for request in backend.requests} == {1}
    assert proxy.counter("cluster.backend.upstream_cx_total") == 1


def test_clients_after_one_another_share_a_connection_to_the_server(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http()
    proxy.to(port)
    for _ in range(10):
        with proxy.client() as client:
            assert client.get().status == 200
    assert {request.connection for request in backend.requests} == {1}


def test_requests_at_the_same_time_have_a_connection_each(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    proxy.to(server.port)
    clients = [proxy.client() for _ in range(3)]
    for client in clients:
        client.ask()
    peers = [server.accept() for _ in clients]
    for peer in peers:
        assert peer.head()
    for peer in peers:
        peer.send(answer())
    assert [client.reply().status for client in clients] == [200, 200, 200]


def test_pipelined_requests_are_answered_in_order(proxy: Proxy, servers: Servers) -> None:
    _, port = servers.http(lambda request: answer(request.target.encode() * 1000))
    proxy.to(port)
    client = proxy.client()
    client.send(b"".join(b"GET /%d HTTP/1.1\r\nhost: test\r\n\r\n" % number for number in range(100)))
    assert [client.reply().body for _ in range(100)] == [b"/%d" % number * 1000 for number in range(100)]


def test_a_pipelined_request_waits_for_the_answer_before_it(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    proxy.to(server.port)
    client = proxy.client()
    client.send(b"POST /1 HTTP/1.1\r\nhost: test\r\ncontent-length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\nhost: test\r\n\r\n")
    peer = server.accept()
    assert peer.head().startswith(b"POST /1 ")
    assert peer.exactly(3) == b"abc"
    proxy.worker.stats()
    assert server.idle()
    peer.send(answer(b"first"))
    assert peer.head().startswith(b"GET /2 ")
    peer.send(answer(b"second"))
    assert [client.reply().body, client.reply().body] == [b"first", b"second"]


def test_empty_lines_before_a_request_are_ignored(proxy: Proxy, servers: Servers) -> None:
    _, port = servers.http()
    proxy.to(port)
    client = proxy.client()
    for _ in range(2):
        client.send(b"\r\n\r\n")
        assert client.get().status == 200


def test_a_client_that_says_close_gets_it(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http()
    proxy.to(port)
    client = proxy.client()
    reply = client.get(connection="close")
    assert (reply.status, reply.fields["connection"]) == (200, "close")
    assert client.ended()
    assert "connection" not in backend.requests[0].fields
    assert proxy.client().get().status == 200
    assert {request.connection for request in backend.requests} == {1}


def test_a_server_that_says_close_is_not_asked_again_there(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http(lambda request: answer(extra="connection: close\r\n"))
    proxy.to(port)
    client = proxy.client()
    for _ in range(3):
        assert "connection" not in client.get().fields
    assert [request.connection for request in backend.requests] == [1, 2, 3]


def test_a_server_that_closes_an_unused_connection_is_asked_on_a_new_one(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    proxy.to(server.port)
    client = proxy.client()
    for body in (b"1", b"2"):
        client.ask()
        peer = server.accept()
        assert peer.head()
        peer.send(answer(body))
        assert client.reply().body == body
        peer.sock.close()
        proxy.until(lambda stats: stats.gauges["cluster.backend.upstream_cx_active"] == 0)


def test_a_server_that_talks_out_of_turn_is_not_asked_again_there(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    client, first = proxy.asked(server)
    first.send(answer(b"mine") + answer(b"nobody asked for this"))
    assert client.reply().body == b"mine"
    client.ask()
    second = server.accept()
    assert second.head()
    second.send(answer(b"right"))
    assert client.reply().body == b"right"
    assert first.ended()


def test_a_connection_serves_as_many_requests_as_the_cluster_allows(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http()
    limit = HttpProtocolOptions(max_requests_per_connection=2)
    proxy.routes(route(), clusters=(cluster("backend", port, http=limit),))
    client = proxy.client()
    for _ in range(5):
        assert client.get().status == 200
    assert [request.connection for request in backend.requests] == [1, 1, 2, 2, 3]


def test_an_unused_connection_to_a_server_is_closed_after_its_idle_timeout(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    proxy.routes(route(), clusters=(cluster("backend", server.port, http=HttpProtocolOptions(idle_timeout=0.2)),))
    client = proxy.client()
    client.ask()
    peer = server.accept()
    assert peer.head()
    peer.send(answer())
    assert client.reply().status == 200
    assert peer.ended()


def test_an_unused_connection_of_a_client_is_closed_after_its_idle_timeout(proxy: Proxy, servers: Servers) -> None:
    _, port = servers.http()
    proxy.to(port, idle_timeout=0.2)
    silent, asked = proxy.client(), proxy.client()
    assert asked.get().status == 200
    assert silent.ended()
    assert asked.ended()


def test_http_1_0_is_refused_where_it_is_not_accepted(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http()
    proxy.to(port)
    client = proxy.client()
    client.send(b"GET / HTTP/1.0\r\nhost: test\r\n\r\n")
    reply = client.reply()
    assert (reply.status, reply.fields["connection"]) == (426, "close")
    assert client.ended()
    assert backend.requests == []


def test_http_1_0_is_answered_and_closed_where_it_is_accepted(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http()
    proxy.to(port, accept_http_10=True)
    client = proxy.client()
    client.send(b"GET / HTTP/1.0\r\nhost: test\r\n\r\n")
    reply = client.reply()
    assert (reply.status, reply.body) == (200, b"ok")
    assert client.ended()
    assert backend.requests[0].head.startswith(b"GET / HTTP/1.1\r\n")


def test_http_1_0_is_kept_where_the_client_asks_for_it(proxy: Proxy, servers: Servers) -> None:
    _, port = servers.http()
    proxy.to(port, accept_http_10=True)
    client = proxy.client()
    for _ in range(2):
        client.send(b"GET / HTTP/1.0\r\nhost: test\r\nconnection: keep-alive\r\n\r\n")
        reply = client.reply()
        assert (reply.status, reply.fields.get("connection")) == (200, "keep-alive")


def test_chunks_go_to_http_1_0_as_they_are_and_end_by_close(proxy: Proxy, servers: Servers) -> None:
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    _, port = servers.http(lambda request: chunked)
    proxy.to(port, accept_http_10=True)
    client = proxy.client()
    client.send(b"GET / HTTP/1.0\r\nhost: test\r\nconnection: keep-alive\r\n\r\n")
    reply = client.reply()
    assert "transfer-encoding" not in reply.fields
    assert reply.fields["connection"] == "close"
    assert reply.body == b"abcde"


def test_an_answer_that_ends_by_close_is_passed_on_whole(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    client, peer = proxy.asked(server)
    peer.send(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000)
    peer.sock.close()
    reply = client.reply()
    assert (reply.fields["transfer-encoding"], len(reply.body)) == ("chunked", 100_000)
    client.ask("/again")
    assert server.accept().head().startswith(b"GET /again ")


def test_a_server_of_http_1_0_is_understood(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    proxy.to(server.port)
    client = proxy.client()
    for _ in range(2):
        client.ask()
        peer = server.accept()
        assert peer.head()
        peer.send(b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok")
        reply = client.reply()
        assert (reply.head.split(b"\r\n")[0], reply.body) == (b"HTTP/1.1 200 OK", b"ok")
        assert peer.ended()


def test_an_answer_before_the_request_is_complete_ends_both_connections(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    proxy.to(server.port)
    client = proxy.client()
    client.send(b"POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 1000\r\n\r\nabc")
    peer = server.accept()
    assert peer.head()
    assert peer.exactly(3) == b"abc"
    peer.send(answer(b"too much", "413 Payload Too Large"))
    reply = client.reply()
    assert (reply.status, reply.body) == (413, b"too much")
    assert client.ended()
    assert peer.ended()


def test_a_client_that_goes_away_frees_its_server(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    proxy.to(server.port)
    for leave in ("end", "reset"):
        client = proxy.client()
        client.ask()
        peer = server.accept()
        assert peer.head()
        getattr(client, leave)()
        assert peer.ended()
        stats = proxy.until(lambda stats: stats.gauges["cluster.backend.upstream_rq_active"] == 0)
        assert stats.gauges["cluster.backend.upstream_cx_active"] == 0
        assert stats.gauges["server.total_connections"] == 0


def test_a_client_that_goes_away_while_it_is_answered_frees_its_server(proxy: Proxy, servers: Servers) -> None:
    client, peer = proxy.asked(servers.manual())
    peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nabc")
    assert client.reply_head().status == 200
    client.reset()
    assert peer.ended()


def test_an_answer_that_breaks_off_ends_the_clients_connection(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    proxy.to(server.port)
    for head in (b"content-length: 1000\r\n\r\nabc", b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"):
        client = proxy.client()
        client.ask()
        peer = server.accept()
        assert peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\n" + head)
        assert client.reply_head().status == 200
        peer.sock.close()
        assert b"abc" in client.rest()
    assert proxy.counter("server.total_connections") == 0


def test_many_heads_at_once_do_not_pass_the_server_by(proxy: Proxy, servers: Servers) -> None:
    """Each of many clients gets its own answer."""

    def own(request: Request) -> bytes:
        return answer(request.fields["x-who"].encode())

    _, port = servers.http(own)
    proxy.to(port)
    clients = [proxy.client() for _ in range(40)]
    for number, client in enumerate(clients):
        client.ask(x_who=str(number))
    assert [client.reply().body for client in clients] == [b"%d" % number for number in range(40)]

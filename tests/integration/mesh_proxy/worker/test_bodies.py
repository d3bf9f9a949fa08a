"""Bodies of requests and answers: lengths, chunks, trailers, none at all; cut at every place."""

from collections.abc import Iterator

import pytest

from tests.integration.mesh_proxy.worker.harness import Proxy, Servers
from tests.support.raw_http import Request, Wire, answer

pytestmark = pytest.mark.integration

CHUNKED = (
    b"POST /a HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"4\r\nWiki\r\n5;name=value\r\npedia\r\n0b\r\n in\r\nchunks\r\n0\r\nX-Sum: 1\r\n\r\n"
)
CONTENT = b"Wikipedia in\r\nchunks"
NEXT = b"GET /b HTTP/1.1\r\nHost: test\r\n\r\n"
ANSWERS = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + CONTENT,
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"4\r\nWiki\r\n5;name=value\r\npedia\r\n0b\r\n in\r\nchunks\r\n0\r\nX-Sum: 1\r\n\r\n",
}


def body(request: Request) -> bytes:
    return answer(request.body)


def test_a_chunked_request_arrives_in_chunks(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http(body)
    proxy.to(port)
    client = proxy.client()
    client.send(CHUNKED)
    assert client.reply().body == CONTENT
    assert backend.requests[0].fields["transfer-encoding"] == "chunked"
    assert "content-length" not in backend.requests[0].fields


def test_trailers_of_a_request_arrive(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http(body)
    proxy.to(port)
    client = proxy.client()
    client.send(CHUNKED)
    client.reply()
    assert backend.requests[0].trailers.lower() == b"x-sum: 1\r\n"


def test_a_request_with_a_length_arrives_with_it(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http(body)
    proxy.to(port)
    sent = bytes(range(256)) * 1000
    assert proxy.client().get("/", "PUT", sent).body == sent
    assert backend.requests[0].fields["content-length"] == "256000"


def test_a_length_of_zero_is_a_body_without_bytes(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http(body)
    proxy.to(port)
    client = proxy.client()
    assert client.get("/", "POST", b"").body == b""
    assert client.get("/", "POST", b"x").body == b"x"
    assert [request.fields["content-length"] for request in backend.requests] == ["0", "1"]


def test_requests_may_be_cut_anywhere(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http(body)
    proxy.to(port)
    client = proxy.client()
    whole = CHUNKED + NEXT
    for place in range(1, len(whole)):
        client.send(whole[:place])
        proxy.worker.stats()  # the worker has read it
        client.send(whole[place:])
        assert client.reply().body == CONTENT, place
        assert client.reply().body == b"", place
    assert [request.target for request in backend.requests] == ["/a", "/b"] * (len(whole) - 1)


def test_requests_may_come_byte_by_byte(proxy: Proxy, servers: Servers) -> None:
    _, port = servers.http(body)
    proxy.to(port)
    client = proxy.client()
    for byte in CHUNKED + NEXT:
        client.send(bytes([byte]))
        proxy.worker.stats()
    assert client.reply().body == CONTENT
    assert client.reply().body == b""


@pytest.fixture(params=ANSWERS)
def pieces(request: pytest.FixtureRequest) -> bytes:
    return ANSWERS[request.param]


def ask_and_take(proxy: Proxy, servers: Servers, whole: bytes) -> Iterator[tuple[Wire, bytes]]:
    """Yields the server's side of one request after another; after each, the answer must have come whole."""
    server = servers.manual()
    proxy.to(server.port)
    client = proxy.client()
    client.ask()
    peer = server.accept()
    for _ in range(1, len(whole)):
        assert peer.head()
        yield peer, whole
        assert client.reply().body == CONTENT
        client.ask()


def test_answers_may_be_cut_anywhere(proxy: Proxy, servers: Servers, pieces: bytes) -> None:
    for place, (peer, whole) in enumerate(ask_and_take(proxy, servers, pieces), 1):
        peer.send(whole[:place])
        proxy.worker.stats()
        peer.send(whole[place:])


def test_answers_may_come_byte_by_byte(proxy: Proxy, servers: Servers, pieces: bytes) -> None:
    peer, whole = next(answers := ask_and_take(proxy, servers, pieces))
    for byte in whole:
        peer.send(bytes([byte]))
        proxy.worker.stats()
    next(answers)


def test_trailers_of_an_answer_arrive(proxy: Proxy, servers: Servers) -> None:
    _, port = servers.http(lambda request: ANSWERS["chunks"])
    proxy.to(port)
    reply = proxy.client().get()
    assert (reply.body, reply.trailers.lower()) == (CONTENT, b"x-sum: 1\r\n")


def test_an_answer_to_head_has_the_length_and_no_body(proxy: Proxy, servers: Servers) -> None:
    _, port = servers.http(lambda request: answer(b"", extra="").replace(b"length: 0", b"length: 1234"))
    proxy.to(port)
    client = proxy.client()
    for _ in range(2):
        reply = client.get(method="HEAD")
        assert (reply.status, reply.fields["content-length"]) == (200, "1234")


def test_an_answer_to_head_may_speak_of_chunks(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http(lambda request: b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    proxy.to(port)
    client = proxy.client()
    for _ in range(2):
        assert client.get(method="HEAD").status == 200
    assert {request.connection for request in backend.requests} == {1}


@pytest.mark.parametrize(
    ("status", "extra", "length"),
    [
        ("204 No Content", "", None),
        ("304 Not Modified", 'etag: "1"\r\ncontent-length: 77\r\n', "77"),
        ("304 Not Modified", "", None),
    ],
)
def test_an_answer_that_can_have_no_body_has_none(
    proxy: Proxy, servers: Servers, status: str, extra: str, length: str | None
) -> None:
    backend, port = servers.http(lambda request: f"HTTP/1.1 {status}\r\n{extra}\r\n".encode())
    proxy.to(port)
    client = proxy.client()
    for _ in range(3):
        reply = client.get()
        assert (reply.status, reply.fields.get("content-length")) == (int(status[:3]), length)
        assert "transfer-encoding" not in reply.fields
    assert {request.connection for request in backend.requests} == {1}


def test_the_proxy_invites_a_body_that_waits_for_it(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http(body)
    proxy.to(port)
    client = proxy.client()
    client.send(b"POST / HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n")
    assert client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"abc")
    assert client.reply().body == b"abc"
    assert "expect" not in backend.requests[0].fields


def test_a_body_that_waits_is_invited_once(proxy: Proxy, servers: Servers) -> None:
    """Also when the server, which was not asked, invites it."""
    _, port = servers.http(lambda request: b"HTTP/1.1 100 Continue\r\n\r\n" + answer(request.body))
    proxy.to(port)
    client = proxy.client()
    client.send(b"POST / HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n")
    assert client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"abc")
    assert client.reply().body == b"abc"


EARLY = b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n"


def test_interim_answers_are_kept_from_clients_that_the_proxy_invites_itself(proxy: Proxy, servers: Servers) -> None:
    _, port = servers.http(lambda request: EARLY + b"HTTP/1.1 100 Continue\r\n\r\n" + answer())
    proxy.to(port)
    client = proxy.client()
    for _ in range(2):
        assert client.get().status == 200


def test_interim_answers_come_before_the_final_one_where_they_are_left_to_servers(
    proxy: Proxy, servers: Servers
) -> None:
    _, port = servers.http(lambda request: EARLY + EARLY + answer())
    proxy.to(port, proxy_100_continue=True)
    client = proxy.client()
    for _ in range(2):
        client.ask()
        replies = [client.reply(), client.reply(), client.reply()]
        assert [reply.status for reply in replies] == [103, 103, 200]
        assert replies[0].fields["link"] == "</style.css>"


def test_an_invitation_may_be_left_to_servers(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    proxy.to(server.port, proxy_100_continue=True)
    client = proxy.client()
    client.send(b"POST / HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n")
    peer = server.accept()
    assert b"expect: 100-continue\r\n" in peer.head()
    peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert client.reply().status == 100
    client.send(b"abc")
    peer.send(answer(peer.exactly(3)))
    assert client.reply().body == b"abc"

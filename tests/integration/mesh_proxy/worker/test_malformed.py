"""Requests that servers understand differently: refused, and nothing of them reaches the server."""

import contextlib
from collections.abc import Iterator

import pytest

from tests.integration.mesh_proxy.worker.harness import Proxy, Servers
from tests.support.raw_http import Client, ManualServer, answer
from tests.support.worker_process import WorkerProcess

pytestmark = pytest.mark.integration

HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: test\r\n\r\n"
HEADS = {
    "a length and chunks": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and a length": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 0\r\n\r\nhello",
    "two lengths in one": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 0\r\n\r\nhello",
    "the same length twice in one": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello",
    "a signed length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
    "a negative length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\nhello",
    "an empty length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nhello",
    "a length in hexadecimal": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello",
    "a length with an underscore": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1_0\r\n\r\nhello",
    "a length in other digits": "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \u0665\r\n\r\nhello".encode(),
    "a length too long to count": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\nhello",
    "an unknown encoding": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\nhello",
    "chunks within another encoding": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "another encoding within chunks": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunks twice": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunks on two lines": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "identity on a second line": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
    b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "nearly chunks": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "quoted chunks": b'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "chunks after a vertical tab": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "an empty encoding": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nhello",
    "a tab before the colon": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "a space before the name": b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    "a line that goes on": b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
    "a line that goes on with a tab": b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\tc\r\n\r\n",
    "a line without a colon": b"GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n",
    "a field without a name": b"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
    "a name with a space": b"GET / HTTP/1.1\r\nHost: a\r\nX Y: b\r\n\r\n",
    "a name with brackets": b"GET / HTTP/1.1\r\nHost: a\r\nX(Y): b\r\n\r\n",
    "a name beyond ASCII": "GET / HTTP/1.1\r\nHost: a\r\nContent-Längth: 5\r\n\r\nhello".encode(),
    "NUL in a value": b"GET / HTTP/1.1\r\nHost: a\r\nX: b\x00c\r\n\r\n",
    "NUL in a name": b"GET / HTTP/1.1\r\nHost: a\r\nX\x00: b\r\n\r\n",
    "NUL in the target": b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a carriage return in a value": b"GET / HTTP/1.1\r\nHost: a\r\nX: b\rY: c\r\n\r\n",
    "a carriage return in a name": b"GET / HTTP/1.1\r\nHost: a\r\nX\rY: c\r\n\r\n",
    "a line feed in a value": b"GET / HTTP/1.1\r\nHost: a\r\nX: b\nContent-Length: 5\r\n\r\nhello",
    "a bare line feed after the request line": b"GET / HTTP/1.1\nHost: a\r\n\r\n",
    "bare line feeds alone": b"GET / HTTP/1.1\nHost: a\n\n",
    "a bare line feed at the end": b"GET / HTTP/1.1\r\nHost: a\r\n\n",
    "a bare line feed before": b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "bare carriage returns": b"GET / HTTP/1.1\rHost: a\r\r" + HIDDEN,
    "a control character in a value": b"GET / HTTP/1.1\r\nHost: a\r\nX: b\x07\r\n\r\n",
    "DEL in a value": b"GET / HTTP/1.1\r\nHost: a\r\nX: b\x7f\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "the same host twice": b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\nX: a\r\n\r\n",
    "an empty host": b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "an unknown version": b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
    "a newer version": b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "a version with more digits": b"GET / HTTP/1.10\r\nHost: a\r\n\r\n",
    "a version in lower case": b"GET / http/1.1\r\nHost: a\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "two spaces in the request line": b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "a tab in the request line": b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "a space before the request line": b" GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "a space after the request line": b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
    "a space in the target": b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "a target beyond ASCII": "GET /ä HTTP/1.1\r\nHost: a\r\n\r\n".encode(),
    "a relative target": b"GET index.html HTTP/1.1\r\nHost: a\r\n\r\n",
    "an authority to GET": b"GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
    "an asterisk to GET": b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
    "no method": b"/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "a method with brackets": b"G(E)T / HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT with a body": b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "an expectation nobody knows": b"POST / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\nContent-Length: 5\r\n\r\nhello",
    "TLS": b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + b"\x00" * 150 + b"\r\n\r\n",
    "nonsense": b"\x00\x01\x02\xff" * 10 + b"\r\n\r\n",
}
BODIES = {
    "a size that is no number": b"xyz\r\nhello\r\n0\r\n\r\n",
    "a signed size": b"+5\r\nhello\r\n0\r\n\r\n",
    "a negative size": b"-5\r\nhello\r\n0\r\n\r\n",
    "a size with a prefix": b"0x5\r\nhello\r\n0\r\n\r\n",
    "a size with an underscore": b"0_5\r\nhello\r\n0\r\n\r\n",
    "an empty size": b"\r\nhello\r\n0\r\n\r\n",
    "a size of extensions alone": b";a=b\r\nhello\r\n0\r\n\r\n",
    "a space before the size": b" 5\r\nhello\r\n0\r\n\r\n",
    "a size too long to count": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "a bare line feed after the size": b"5\nhello\r\n0\r\n\r\n",
    "a bare carriage return after the size": b"5\rhello\r\n0\r\n\r\n",
    "a bare line feed after the content": b"5\r\nhello\n0\r\n\r\n",
    "content longer than its size": b"5\r\nhello world\r\n0\r\n\r\n",
    "content shorter than its size": b"8\r\nhello\r\n0\r\n\r\n",
    "a line feed in an extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "a carriage return in an extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "an extension without end": b"5;" + b"a" * 20_000 + b"\r\nhello\r\n0\r\n\r\n",
    "a trailer without a colon": b"5\r\nhello\r\n0\r\nnonsense\r\n\r\n",
    "a trailer that goes on": b"5\r\nhello\r\n0\r\nx: a\r\n b\r\n\r\n",
    "a trailer with NUL": b"5\r\nhello\r\n0\r\nx: a\x00\r\n\r\n",
    "a bare line feed after a trailer": b"5\r\nhello\r\n0\r\nx: a\n\r\n",
    "a bare line feed at the end": b"5\r\nhello\r\n0\r\n\n",
    "trailers without end": b"5\r\nhello\r\n0\r\n" + b"x: a\r\n" * 20_000 + b"\r\n",
}


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    """One worker for all tables: each row must leave it in order for the next."""
    with contextlib.ExitStack() as stack:
        yield Proxy(stack.enter_context(WorkerProcess()), stack)


def refused(client: Client, statuses: tuple[int, ...] = (400,)) -> bool:
    """Whether the proxy answers with one of these and closes, or closes at once."""
    try:
        head = client.head()
    except ConnectionResetError:
        return True
    return not head or (
        int(head.split(b" ")[1]) in statuses and b"\r\nconnection: close\r\n" in head and closes(client)
    )


def closes(client: Client) -> bool:
    with contextlib.suppress(ConnectionResetError):  # it did not read everything that came
        client.rest()
    return True


@pytest.mark.parametrize("case", HEADS)
def test_a_request_in_doubt_is_refused_and_what_follows_is_none(case: str, proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http()
    proxy.to(port, accept_http_10=True)
    client = proxy.client()
    client.send(HEADS[case] + HIDDEN)
    assert refused(client)
    assert proxy.client().get("/next").status == 200
    assert [request.target for request in backend.requests] == ["/next"]


@pytest.mark.parametrize("case", BODIES)
def test_a_body_in_doubt_never_becomes_a_whole_request(case: str, proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    proxy.to(server.port)
    client = proxy.client()
    client.send(b"POST /bad HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n" + BODIES[case] + HIDDEN)
    assert refused(client)
    next_client = proxy.client()
    next_client.ask("/next")
    assert b"0\r\n\r\n" not in until_next(server)
    assert next_client.reply().status == 200


def until_next(server: ManualServer) -> bytes:
    """What the server got on connections before ``/next`` came."""
    got = b""
    while not (head := (peer := server.accept()).head()).startswith(b"GET /next "):
        got += head + peer.rest()
        assert b"/hidden" not in got
    peer.send(answer())
    return got


def test_a_body_in_doubt_ends_an_answer_that_has_begun(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    proxy.to(server.port)
    client = proxy.client()
    client.send(b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    peer = server.accept()
    assert peer.head()
    peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc")
    assert client.reply_head().status == 200
    client.send(b"nonsense\r\n")
    assert closes(client)
    assert b"0\r\n\r\n" not in peer.rest()


RESPONSES = {
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "no version": b"200 OK\r\n\r\n",
    "another protocol": b"ICY 200 OK\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "a length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 1\r\n\r\nok",
    "an unknown encoding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
    "a line that goes on": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
    "NUL": b"HTTP/1.1 200 OK\r\nX: a\x00\r\nContent-Length: 2\r\n\r\nok",
    "a switch nobody asked for": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
}


@pytest.mark.parametrize("case", RESPONSES)
def test_an_answer_in_doubt_is_not_passed_on(case: str, proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    client, peer = proxy.asked(server)
    peer.send(RESPONSES[case])
    reply = client.reply()
    assert (reply.status, reply.body.endswith(b"reset reason: protocol error")) == (502, True)
    assert peer.ended()
    client.ask("/again")
    assert server.accept().head().startswith(b"GET /again ")

"""Our sessions ask servers that others have written: gRPC's own."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from mesh_proxy.protocol.http1 import field_of
from tests.support.http2_recorder import End
from tests.support.worker_process import LIMIT

pytestmark = pytest.mark.integration

CALL = [field_of(b"content-type", b"application/grpc"), field_of(b"te", b"trailers")]


class Echo(grpc.GenericRpcHandler):
    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        if details.method == "/any.Service/Stream":
            return grpc.stream_stream_rpc_method_handler(lambda messages, context: messages)
        if details.method == "/any.Service/Call":
            return grpc.unary_unary_rpc_method_handler(lambda message, context: message)
        return None


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(30), (Echo(),), options=options)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(0).wait()


class Client:
    """Our end on a socket. Whatever comes is consumed at once."""

    def __init__(self, port: int) -> None:
        self.end = End(client=True, greeted=False)
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=LIMIT)

    def run_until_ended(self, *numbers: int) -> None:
        recorder, session = self.end.recorder, self.end.session
        seen = 0
        while not recorder.ended.issuperset(numbers):
            while output := session.take_output():
                self.sock.sendall(output)
            self.end.give(self.sock.recv(65536))
            assert recorder.failure is None
            for event in recorder.events[seen:]:
                assert event[1] != "reset", event
                if event[1] == "data":
                    assert isinstance(event[2], bytes)
                    session.consumed(recorder.streams[int(str(event[0]))], len(event[2]))
            seen = len(recorder.events)


@pytest.fixture
def client(server: int) -> Iterator[Client]:
    client = Client(server)
    with client.sock:
        yield client


def message(content: bytes) -> bytes:
    return b"\0" + len(content).to_bytes(4, "big") + content


def test_calls_at_once(client: Client) -> None:
    session, asked = client.end.session, {}
    for number in range(20):
        content = message(bytes([number]) * (number * 10_000))
        stream = session.request(b"POST", b"http", b"a", b"/any.Service/Call", CALL, False, 0.0)
        session.data(stream, content, True)
        asked[stream.id] = content
    client.run_until_ended(*asked)
    assert client.end.recorder.content == asked
    assert all((b"grpc-status", b"0") in fields for fields in client.end.recorder.trailers.values())
    assert not session.streams


def test_a_stream_of_more_than_all_windows(client: Client) -> None:
    session = client.end.session
    stream = session.request(b"POST", b"http", b"a", b"/any.Service/Stream", CALL, False, 0.0)
    content = message(b"x" * 1_000_000) * 20
    for at in range(0, len(content), 100_000):
        session.data(stream, content[at : at + 100_000], False)
    session.data(stream, b"", True)
    client.run_until_ended(stream.id)
    assert client.end.recorder.content[stream.id] == content


def test_an_answer_of_trailers_alone(client: Client) -> None:
    stream = client.end.session.request(b"POST", b"http", b"a", b"/no.Such/Method", CALL, True, 0.0)
    client.run_until_ended(stream.id)
    assert client.end.recorder.heads[stream.id].get(b"grpc-status") == b"12"

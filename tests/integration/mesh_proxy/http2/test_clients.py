"""Clients that others have written talk to our sessions."""

import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.support.http2_server import EchoServer
from tests.support.worker_process import LIMIT

pytestmark = pytest.mark.integration


@pytest.fixture
def server() -> Iterator[EchoServer]:
    with EchoServer() as server:
        yield server
    assert server.errors == []


@pytest.fixture(scope="module")
def curl() -> str:
    found = shutil.which("curl")
    if found is None:
        pytest.skip("there is no curl")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    if "HTTP2" not in version:
        pytest.skip("this curl does not speak HTTP/2")
    return found


def ask(curl: str, server: EchoServer, *arguments: str | Path) -> bytes:
    command = [curl, "--silent", "--show-error", "--fail", "--http2-prior-knowledge", "--max-time", "60", *arguments]
    return subprocess.run(command, capture_output=True, check=True).stdout


def test_curl_gets_an_answer(curl: str, server: EchoServer) -> None:
    address = f"http://127.0.0.1:{server.port}/hello"
    assert ask(curl, server, "--write-out", " %{http_code} %{http_version}", address) == b"hello 200 2"


def test_curl_gets_a_large_answer(curl: str, server: EchoServer) -> None:
    assert ask(curl, server, f"http://127.0.0.1:{server.port}/large") == b"x" * 1_000_000


@pytest.mark.parametrize("expects", [False, True])
def test_curl_gets_back_what_it_sends(curl: str, server: EchoServer, tmp_path: Path, expects: bool) -> None:
    """More than any window: it is consumed as it goes back."""
    content = bytes(range(256)) * 120_000
    file = tmp_path / "content"
    file.write_bytes(content)
    header = ["--header", "Expect: 100-continue" if expects else "Expect:"]
    address = f"http://127.0.0.1:{server.port}/echo"
    assert ask(curl, server, *header, "--data-binary", f"@{file}", address) == content


@pytest.fixture
def channel(server: EchoServer) -> Iterator[grpc.Channel]:
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{server.port}", options=options) as channel:
        yield channel


SIZES = (0, 1, 1000, 20_000, 3_000_000)


def test_grpc_calls_at_once(channel: grpc.Channel) -> None:
    call = channel.unary_unary("/any.Service/Call")
    messages = [bytes([number]) * size for number in range(10) for size in SIZES]
    calls = [call.future(message, timeout=LIMIT, metadata=(("x-number", str(len(message))),)) for message in messages]
    assert [one.result() for one in calls] == messages


def test_grpc_streams_both_ways(channel: grpc.Channel) -> None:
    call = channel.stream_stream("/any.Service/Stream")
    messages = [b"x" * size for size in SIZES] * 4
    assert list(call(iter(messages), timeout=LIMIT)) == messages


def one_and_no_end(over: threading.Event) -> Iterator[bytes]:
    yield b"a"
    over.wait(LIMIT)


def test_grpc_gives_up_a_call_and_goes_on(channel: grpc.Channel) -> None:
    stream = channel.stream_stream("/any.Service/Stream")
    for _ in range(20):
        waits = threading.Event()
        begun = stream(one_and_no_end(waits), timeout=LIMIT)
        assert next(begun) == b"a"
        begun.cancel()
        waits.set()
    assert channel.unary_unary("/any.Service/Call")(b"b", timeout=LIMIT) == b"b"

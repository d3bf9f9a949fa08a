"""Clients that others have written talk to our sessions."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.http2_server import EchoServer

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


def test_curl_asks_many_at_once(curl: str, server: EchoServer) -> None:
    addresses = [f"http://127.0.0.1:{server.port}/hello?{number}" for number in range(60)]
    found = ask(curl, server, "--parallel", "--parallel-max", "60", *[f"{address}" for address in addresses])
    assert found == b"" or b"hello" in found

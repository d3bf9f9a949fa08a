"""The same requests, and the same first bytes, for a real Envoy and for our sessions: the same comes of them.

Whatever differs on purpose has its reason in the row.
"""

import socket
import time
from typing import NamedTuple

import pytest

from mesh_proxy.protocol.http2 import frames
from mesh_proxy.protocol.http2.frames import GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, frame
from tests.integration.mesh_proxy.http2.conftest import Envoy
from tests.support.http2_recorder import GREETING, End, headers, literals, split
from tests.support.http2_rows import ACCEPTED, LARGE, MALFORMED, Row
from tests.support.worker_process import LIMIT

pytestmark = pytest.mark.integration

ROWS = [*ACCEPTED, *MALFORMED, *LARGE]
LAST = frame(PING, 0, 0, b"whatever")
ANSWERED_BY_THE_PROXY = {"CONNECT", "OPTIONS *"}
"""Requests that the session takes and the connection manager ends; it closes after CONNECT."""


class Outcome(NamedTuple):
    """``verdict``: ``taken``, ``reset``, or ``closed``; the ``code`` of a reset; Envoy's ``details``."""

    verdict: str
    code: int
    details: str


def verdict(found: list[tuple[int, int, int, bytes]], closed: bool) -> tuple[str, int]:
    for kind, _, number, payload in found:
        if kind == HEADERS and number == 1:
            return "taken", 0
        if kind == RST_STREAM and number == 1:
            return "reset", int.from_bytes(payload, "big")
    assert closed or any(kind == GOAWAY for kind, _, _, _ in found)
    return "closed", 0


def whole(data: bytes) -> list[tuple[int, int, int, bytes]]:
    """The frames of it that are complete."""
    end = 0
    while len(data) - end >= 9 and len(data) - end >= 9 + int.from_bytes(data[end : end + 3], "big"):
        end += 9 + int.from_bytes(data[end : end + 3], "big")
    return split(data[:end])


def read(sock: socket.socket) -> tuple[list[tuple[int, int, int, bytes]], bool]:
    """Frames until the PING is answered, or until the end; and whether it was the end."""
    data = b""
    while True:
        try:
            more = sock.recv(65536)
        except ConnectionResetError:
            more = b""
        data += more
        found = whole(data)
        if not more or any(kind == PING for kind, _, _, _ in found):
            return found, not more


def ask_envoy(server: Envoy) -> dict[str, Outcome]:
    """All of them at once: Envoy closes a connection a second late."""
    socks = {}
    for row in ROWS:
        sock = socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT)
        sock.sendall(PREFACE + GREETING + headers(1, literals(*row.fields)) + LAST)
        socks[row.name] = sock
    asked = {}
    for name, sock in socks.items():
        with sock:
            found, closed = read(sock)
            asked[name] = (*verdict(found, closed), sock.getsockname()[1])
    deadline = time.monotonic() + LIMIT
    details: dict[int, str] = {}
    while not {port for _, _, port in asked.values()} <= set(details):
        assert time.monotonic() < deadline, "not everything is in the log"
        lines = [line.split(" ") for line in server.log.read_text("latin-1").splitlines()]
        details = {int(line[0].rpartition(":")[2]): line[1] for line in lines if len(line) == 2}
    return {name: Outcome(said, code, details[port]) for name, (said, code, port) in asked.items()}


@pytest.fixture(scope="module")
def envoys(envoy_server: Envoy) -> dict[str, Outcome]:
    return ask_envoy(envoy_server)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_request(row: Row, envoys: dict[str, Outcome]) -> None:
    end = End()
    end.give(headers(1, literals(*row.fields)))
    recorder, envoy = end.recorder, envoys[row.name]
    if 1 in recorder.heads:
        assert row.name in ANSWERED_BY_THE_PROXY or envoy.verdict == "taken"
        return
    _, _, code, details = recorder.events[0]
    assert details == row.details
    if row.stricter:
        assert envoy.verdict == "taken"
        return
    assert envoy.details == details
    assert envoy.verdict == ("closed" if recorder.failure else "reset")
    if not recorder.failure:
        assert envoy.code == code


def test_the_first_frames_are_envoys(envoy_server: Envoy) -> None:
    with socket.create_connection(("127.0.0.1", envoy_server.port), timeout=LIMIT) as sock:
        sock.sendall(PREFACE + GREETING + LAST)
        found, _ = read(sock)
    ours = End(greeted=False).take()
    assert [one for one in found if one[0] in (frames.SETTINGS, frames.WINDOW_UPDATE) and not one[1]] == ours

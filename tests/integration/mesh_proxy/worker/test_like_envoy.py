"""The same configuration and the same bytes for a real Envoy and for our worker: the same comes of them.

Compared are the answers, what the servers saw, and the access logs; ids, dates and times are made alike. Where ours is
different on purpose, :data:`STRICTER` and :data:`OTHERWISE` say why and what it does.
"""

import contextlib
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mesh_proxy import ipc
from tests.integration.mesh_proxy.worker.envoy_rows import (
    AT_THE_EDGE,
    LOGGED,
    MALFORMED,
    REQUESTS,
    breaking,
    config,
    nonsense,
    said,
    silent,
)
from tests.integration.mesh_proxy.worker.harness import Servers
from tests.support.envoy_process import EnvoyProcess
from tests.support.raw_http import Client, Reply, Request, answer
from tests.support.worker_process import LIMIT, WorkerProcess

pytestmark = pytest.mark.integration

OTHER_SERVERS = "servers disagree about what it means"
STRICTER = {
    "absolute with query alone": "RFC 9110 4.2.3 makes its path /, Envoy says 404; nobody sends it",
    "broken escape": "servers disagree about the path that it stands for, and policies match paths",
    "unknown encoding": "refused with 501 there; 400 says the same",
    "two encodings": "refused with 501 there; 400 says the same",
    "chunks twice": "refused with 501 there; 400 says the same",
    "folded": "obsolete, to be refused (RFC 9112 5.2)",
    "carriage return": OTHER_SERVERS,
    "line feed": OTHER_SERVERS,
    "bare line feeds": OTHER_SERVERS,
    "one bare line feed": OTHER_SERVERS,
    "line feed before": OTHER_SERVERS,
    "two hosts": "to be refused (RFC 9112 3.2); Envoy joins them",
    "empty host": "a mesh routes by it",
    "unknown version": "refused with 426 there",
    "http 2": "refused with 426 there",
    "no version": "refused with 426 there",
    "two spaces": OTHER_SERVERS,
    "expectation": "nobody could meet it (RFC 9110 10.1.1)",
    "long chunk": "what follows the content is no line end; Envoy skips it",
    "connection names the length": "the next hop would not know where the body ends",
    "edge chunks in http 1.0": "its framing cannot be relied on (RFC 9112 6.1)",
}
"""What Envoy takes, or refuses otherwise, and we refuse with 400, and why."""

PRECISE = "the log says more exactly what was wrong"
ERROR_TEXT = "an answer of ours has no text, or another one"
LENGTHS = (
    *("two lengths", "two lengths in one", "the same length twice"),
    *("signed length", "empty length", "long length"),
)
EDGES = (
    *("edge", "edge http 1.0", "edge http 1.0 kept", "edge chunks to http 1.0"),
    *("edge dot segments", "edge invited by the server", "edge hints"),
)
LENGTH = {"log details": "http1.invalid_content_length"}
EDGE = {"seen x-forwarded-for": "127.0.0.1"}
"""Of a client on this machine Envoy tells the machine's address, not the loopback one."""
OTHERWISE: dict[str, tuple[str, dict[str, Any]]] = {
    "other envoy's fields": (
        "only the proxy itself may set it",
        {"log path": "/a", "seen x-envoy-original-path": None},
    ),
    "http 1.0": (
        ERROR_TEXT,
        {"answer content-length": "0", "answer content-type": None, "body": b"", "log sent": "0"}
        | {"log authority": "test", "log method": "GET", "log path": "/a", "log protocol": "HTTP/1.0"},
    ),
    "fragment": (
        "refused alike, by the parser already",
        {"answer content-length": "11", "answer content-type": "text/plain", "body": b"Bad Request"}
        | {"log sent": "11", "log flags": "DPE", "log details": "http1.codec_error"}
        | dict.fromkeys(("log authority", "log method", "log path"), "-"),
    ),
    "redirect head": (
        "the length that GET gets (RFC 9110 9.3.2)",
        {"answer transfer-encoding": None},
    ),
    "head of chunks": ("how a body that is not sent would be framed", {"answer transfer-encoding": None}),
    "preflight": (
        "edits hold for every answer of the route",
        {"answer x-appended": "host", "answer x-set": "host"},
    ),
    **{
        name: (PRECISE, {"log details": f"upstream_reset_before_response_started{{protocol_error|http1.{details}}}"})
        for name, details in (
            ("nonsense", "codec_error"),
            ("answer/both", "content_length_and_chunked_not_allowed"),
            ("answer/lengths", "invalid_content_length"),
            ("answer/gzip", "invalid_transfer_encoding"),
            ("answer/nul", "codec_error"),
        )
    },
    **dict.fromkeys(LENGTHS, (PRECISE, LENGTH)),
    "space before the name": ("refused alike", {"log details": "http1.codec_error"}),
    "nul": ("refused alike", {"log details": "http1.codec_error"}),
    "control character": ("refused alike", {"log details": "http1.codec_error"}),
    "no host": ("the client broke the protocol", {"log flags": "DPE"}),
    "edge http 1.0 without host": ("the client broke the protocol", {"log flags": "DPE"}),
    "relative": ("the log tells the line", {"log authority": "test", "log method": "GET", "log path": "a"}),
    **dict.fromkeys(EDGES, ("whose address the server is told", EDGE)),
    "edge forwarded": ("whose address the server is told", EDGE | {"seen x-forwarded-for": "10.1.2.3,127.0.0.1"}),
    "edge forwarded host": ("whose address the server is told", EDGE),
    "edge weighted host": ("whose address the server is told", EDGE),
}
"""Where ours does something else: why, and what."""

UNSURE = {
    "answer/folded": "a line of an answer that goes on",
    "unasked switch": "a switch of protocols that the client did not ask for",
}
"""Answers of servers that Envoy passes on, and we do not: 502."""


VARYING = {"date": "DATE", "x-envoy-upstream-service-time": "MS"}
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
Outcome = dict[str, Any]
"""What came of a request, flat: status and body; ``answer NAME`` and ``seen NAME``: a field of the answer, and of what a
server was asked; ``log NAME``: a part of the log's line."""


def alike(fields: dict[str, str], kind: str) -> Outcome:
    """Fields by their names, without what differs from one request to the next."""
    found = {f"{kind} {name}": VARYING.get(name, value) for name, value in fields.items()}
    return {name: "UUID" if UUID.fullmatch(value) else value for name, value in found.items()}


class Side:
    """One of the two proxies, and the servers behind it."""

    def __init__(self, proxy: EnvoyProcess | WorkerProcess, log: Path, seen: list[Request]) -> None:
        self._proxy = proxy
        self._log = log
        self._seen = seen
        self._ports = {name: proxy.port(name) for name in ("http", "edge")}
        self._lines = 0

    def run(self, raw: bytes, listener: str) -> Outcome:
        """What comes of these bytes on a connection of their own."""
        self._seen.clear()
        with Client(self._ports[listener]) as client:
            client.send(raw)
            reply = final(client, raw.lstrip().split(b" ")[0].decode())
        found = {"status": reply.status, "body": reply.body} | alike(reply.fields, "answer")
        found["seen"] = [(one.head.split(b"\r\n")[0], one.body) for one in self._seen]
        for one in self._seen:
            found |= alike(one.fields, "seen")
        return found | self._line()

    def _line(self) -> Outcome:
        """What the log's next line says."""
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            if isinstance(self._proxy, WorkerProcess):
                self._proxy.send(ipc.Reopen())
                self._proxy.stats()
            lines = self._log.read_text("latin-1").split("\n")[:-1] if self._log.exists() else []
            if len(lines) > self._lines:
                self._lines += 1
                parts = dict(zip(LOGGED, lines[self._lines - 1].split("\t"), strict=True))
                parts["service time"] = re.sub("[0-9]+", "MS", parts["service time"])
                parts["remote"] = re.sub("^127.0.0.1:[0-9]+$", "CLIENT", parts["remote"])
                return {f"log {name}": value for name, value in parts.items()}
        raise AssertionError("the log says nothing")


def final(client: Client, method: str) -> Reply:
    """The answer after interim ones; status 0: the connection was closed without."""
    with contextlib.suppress(ConnectionError):
        while (reply := client.reply(method)).status in (100, 103):
            pass
        return reply
    return Reply(b"", 0, {})


class Both(NamedTuple):
    """The two."""

    envoy: Side
    ours: Side

    def differences(self, raw: bytes, listener: str = "http") -> Outcome:
        """What ours does where the other does something else; ``None``: it does not have that."""
        ours, other = self.ours.run(raw, listener), self.envoy.run(raw, listener)
        names = sorted({*ours, *other})
        return {name: ours.get(name) for name in names if ours.get(name) != other.get(name)}


@pytest.fixture(scope="module")
def both(envoy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """One Envoy and one worker for all rows, with the same servers behind them."""
    with contextlib.ExitStack() as stack:
        servers = Servers(stack)
        backend, echo = servers.http(said)
        failing, failing_port = servers.http(lambda request: answer(b"broken", "503 Service Unavailable"))
        failing.requests = backend.requests
        ports = {"echo": echo, "failing": failing_port, "refused": servers.nobody()}
        ports |= {serve.__name__: servers.script(serve).port for serve in (breaking, silent, nonsense)}
        folder = tmp_path_factory.mktemp("like_envoy")
        logs = {name: folder / f"access-{name}.log" for name in ("envoy", "ours")}
        real = stack.enter_context(EnvoyProcess(envoy, folder, config(ports, logs["envoy"])))
        worker = stack.enter_context(WorkerProcess())
        taken = worker.apply(config(ports, logs["ours"]))
        assert isinstance(taken, ipc.Applied), taken
        yield Both(Side(real, logs["envoy"], backend.requests), Side(worker, logs["ours"], backend.requests))


def rows(table: dict[str, bytes]) -> list[Any]:
    """The rows of the table that are to be alike."""
    return [name for name in table if name not in STRICTER | UNSURE]


@pytest.mark.parametrize("name", rows(REQUESTS))
def test_what_envoy_answers_we_answer(both: Both, name: str) -> None:
    assert both.differences(REQUESTS[name]) == OTHERWISE.get(name, ("", {}))[1]


@pytest.mark.parametrize("name", rows(MALFORMED))
def test_what_envoy_refuses_we_refuse(both: Both, name: str) -> None:
    assert both.differences(MALFORMED[name]) == OTHERWISE.get(name, ("", {}))[1]


@pytest.mark.parametrize("name", rows(AT_THE_EDGE))
def test_what_envoy_answers_at_the_edge_we_answer(both: Both, name: str) -> None:
    assert both.differences(AT_THE_EDGE[name], "edge") == OTHERWISE.get(name, ("", {}))[1]


@pytest.mark.parametrize("name", STRICTER)
def test_what_is_in_doubt_we_refuse_where_envoy_does_not(both: Both, name: str) -> None:
    listener = "edge" if name in AT_THE_EDGE else "http"
    raw = (REQUESTS | MALFORMED | AT_THE_EDGE)[name]
    ours = both.ours.run(raw, listener)
    assert (ours["status"], ours["answer connection"], ours["seen"]) == (400, "close", [])
    assert both.envoy.run(raw, listener)["status"] != 400, "no longer stricter"


@pytest.mark.parametrize("name", UNSURE)
def test_what_is_in_doubt_of_servers_we_do_not_pass_on(both: Both, name: str) -> None:
    assert both.ours.run(REQUESTS[name], "http")["status"] == 502
    assert both.envoy.run(REQUESTS[name], "http")["status"] != 502, "no longer stricter"


def test_every_exception_is_one_of_a_row() -> None:
    names = {**REQUESTS, **MALFORMED, **AT_THE_EDGE}.keys()
    assert names >= {*STRICTER, *OTHERWISE, *UNSURE}

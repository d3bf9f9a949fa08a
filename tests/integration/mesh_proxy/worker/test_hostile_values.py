"""No bytes that a client or a server sends end a worker, or make one of its handlers fail: what the proxy reads of a field is
written in thousands of digits, in digits that are none, too deep, or not in UTF-8."""

import base64
import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import IO

import pytest

from mesh_proxy import ipc
from mesh_proxy.bootstrap import load_bootstrap
from mesh_proxy.protocol.http1 import KINDS
from tests.support.raw_http import Client, ScriptedServer, Wire
from tests.support.worker_process import WorkerProcess

pytestmark = pytest.mark.integration

FRAMING = (b"host", b"connection", b"content-length", b"transfer-encoding", b"upgrade")
READ = (
    *(name.decode() for name in KINDS if name not in FRAMING),
    "authorization", "traceparent", "tracestate", "b3", "x-b3-traceid", "x-b3-sampled", "grpc-timeout", "content-type",
    "x-envoy-original-dst-host", "x-hash", "cookie", "x-forwarded-host", "origin", "range", "accept-encoding", "x-number",
)  # fmt: skip
"""Fields that the proxy makes something of."""
ANSWERED = (
    "grpc-status", "grpc-message", "retry-after", "x-reset", "x-envoy-peer-metadata", "x-envoy-ratelimited", "x-t", "date",
    "x-envoy-upstream-service-time", "x-envoy-overloaded", "x-envoy-degraded", "x-envoy-immediate-health-check-fail",
    "set-cookie", "location", "etag", "content-encoding", "server", "alt-svc",
)  # fmt: skip
TARGETS = {"x-envoy-original-dst-host": b"/original", "x-number": b"/named"}
"""Where a field counts, if not everywhere."""


def text_struct(text: bytes) -> bytes:
    """``{"LABELS": text}`` as a ``google.protobuf.Struct``, in base64."""

    def field(number: int, content: bytes) -> bytes:
        size, made = len(content), b""
        while size >= 0x80:
            made, size = made + bytes([size & 0x7F | 0x80]), size >> 7
        return bytes([number << 3 | 2]) + made + bytes([size]) + content

    return base64.b64encode(field(1, field(1, b"LABELS") + field(2, field(3, text))))


VALUES = {
    "thousands of digits": b"9" * 5000,
    "thousands of zeros": b"0" * 5000,
    "a superscript digit": b"\xb2",
    "digits and a superscript": b"1\xb2",
    "not in UTF-8": b"\xff\xfe",
    "a negative number": b"-1",
    "a number of 65 bits": b"18446744073709551617",
    "an exponent": b"1e999",
    "no number": b"NaN",
    "many commas": b"," * 2000,
    "deep JSON": b"[" * 6000,
    "deep objects": b'{"a":' * 3000,
    "deep labels": text_struct(b"[" * 6000),
    "percent signs": b"%" * 500 + b"%zz%C3%28",
    "nothing": b"",
    "a port of thousands of digits": b"1.1.1.1:" + b"9" * 5000,
    "a port that is none": b"1.1.1.1:\xb2",
    "an address in brackets": b"[" * 300 + b"::1",
    "quotes": b'"' * 500 + b"\\",
}
CONFIG = Template((Path(__file__).parents[3] / "data" / "proxy" / "reads_everything.yml").read_text())


class Answers:
    """What the server says next, besides that it is well."""

    def __init__(self) -> None:
        self.fields = b""
        self.trailers = b""

    def serve(self, wire: Wire, _number: int) -> None:
        while wire.head():
            wire.send(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ntransfer-encoding: chunked\r\n"
                + self.fields + b"\r\n2\r\nok\r\n0\r\n" + self.trailers + b"\r\n"
            )  # fmt: skip


class Watched:
    """A worker with a client that stays, a server behind it, and what it says of failures."""

    def __init__(self, worker: WorkerProcess, answers: Answers, stays: Client, errors: IO[bytes]) -> None:
        self.worker, self.answers, self._stays, self._errors = worker, answers, stays, errors
        self.port = worker.port("in")

    def ask(self, fields: bytes, target: bytes = b"/", host: bytes = b"test") -> None:
        """One request, whatever comes of it."""
        with Client(self.port) as client, contextlib.suppress(OSError):
            client.send(
                b"GET " + target + b" HTTP/1.1\r\nhost: " + host + b"\r\nconnection: close\r\n" + fields + b"\r\n"
            )
            client.rest()

    def unharmed(self) -> bool:
        """Whether the other connection goes on, and no handler has failed."""
        self.answers.fields = self.answers.trailers = b""
        self._errors.seek(0)
        return self._stays.get().status == 200 and b"handler failed" not in self._errors.read()


@pytest.fixture(scope="module", params=["true", "false"], ids=["edge", "inside"])
def watched(request: pytest.FixtureRequest) -> Iterator[Watched]:
    answers = Answers()
    server = ScriptedServer(answers.serve)
    with contextlib.ExitStack() as stack, tempfile.TemporaryFile() as errors:
        stack.callback(server.close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "proxy.yml").write_text(CONFIG.substitute(port=server.port, edge=request.param, log=folder / "log"))
        bootstrap = load_bootstrap(folder / "proxy.yml")
        worker = stack.enter_context(WorkerProcess(errors=errors))
        taken = worker.apply(bootstrap.static)
        assert isinstance(taken, ipc.Applied), taken
        stays = stack.enter_context(Client(worker.port("in")))
        yield Watched(worker, answers, stays, errors)


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
def test_no_value_of_a_request_harms_others(watched: Watched, value: bytes) -> None:
    for name in READ:
        line = name.encode() + b": " + value + b"\r\n"
        watched.ask(line, TARGETS.get(name, b"/"))
        watched.ask(line + b"x-envoy-retry-on: 5xx\r\ncontent-type: application/grpc\r\nte: trailers\r\n")
    assert watched.unharmed()


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
def test_no_name_of_a_host_harms_others(watched: Watched, value: bytes) -> None:
    for host in (value, b"a:" + value, b"[::1]:" + value, b"[" + value):
        for target in (b"/", b"/sni"):
            watched.ask(b"", target, host)
    assert watched.unharmed()


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
@pytest.mark.parametrize("place", ["fields", "trailers"])
def test_no_value_of_an_answer_harms_others(watched: Watched, value: bytes, place: str) -> None:
    for name in ANSWERED:
        setattr(watched.answers, place, name.encode() + b": " + value + b"\r\n")
        watched.ask(b"content-type: application/grpc\r\nte: trailers\r\n")
        watched.ask(b"")
    assert watched.unharmed()

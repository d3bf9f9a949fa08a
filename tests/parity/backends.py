"""The servers behind a proxy: each answers as the case says, over whatever it is asked by, and what it was asked is kept.

An answer is a mapping: ``status``, ``headers``, ``body``, ``chunks``, ``trailers``, ``interim``, ``raw``, and what else a
server can do: ``close`` or ``reset`` without an answer, ``hang`` until the peer gives up, ``talk`` in bytes. README.md has
them all.
"""

import contextlib
import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.parity.steps import as_bytes, fields_in, talk
from tests.support.dns_server import A, DnsServer, message, question_of, record
from tests.support.http2_peers import Message, Peer
from tests.support.raw_http import EndedError, ScriptedServer, Wire, fields_of, listening_socket

SERVERS = ("echo", "one", "two", "three", "four", "healthy")
"""Plain ones; every one of them speaks HTTP/1.1, HTTP/2, and bytes. Health checks are for the last one."""
SECURE = ("secure", "mutual", "named")
"""Those that speak TLS; the second one asks for a certificate, the third one has several names."""
NOBODY = "nobody"
"""A port where connections are refused."""
NAMES = "names"
"""A port where names are asked for (DNS): every one below ``named`` and ``example`` is that of loopback; others are none."""
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a server was asked. ``fields`` are names in small letters and values, in their order."""

    server: str
    version: str
    method: str
    target: str
    fields: tuple[tuple[str, str], ...]
    body: bytes = b""
    trailers: tuple[tuple[str, str], ...] = ()
    complete: bool = True
    server_name: str = ""
    """The name that the client of TLS asked for."""


@dataclass
class Script:
    """What servers answer in the present case, and what they were asked in it. One for each proxy."""

    answers: Mapping[str, list[Any]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    _given: dict[str, int] = field(default_factory=dict)

    def begin(self, answers: Mapping[str, list[Any]]) -> None:
        """A new case."""
        with self.changed:
            self.answers, self.seen, self._given = answers, [], {}

    def next(self, server: str) -> Mapping[str, Any]:
        """The server's next answer; the last one holds for all that follow."""
        with self.changed:
            answers, counted, place = self._place(server)
            self._given[counted] = place + 1
            found: Mapping[str, Any] = answers[min(place, len(answers) - 1)]
            return found

    def talks(self, server: str) -> bool:
        """Whether the server's next answer is one of bytes, without a request before."""
        answers, _, place = self._place(server)
        return "talk" in answers[min(place, len(answers) - 1)]

    def _place(self, server: str) -> tuple[list[Any], str, int]:
        """The answers that hold for it, whose count is kept, and how many have been given: ``*`` is one row for all servers,
        the empty name one row for each."""
        answers = self.answers.get(server) or self.answers.get("*") or self.answers.get("") or [{}]
        counted = "*" if server not in self.answers and "*" in self.answers else server
        return answers, counted, self._given.get(counted, 0)

    def note(self, seen: Seen) -> None:
        """A request has come; those of health checks come whenever they want."""
        if ("user-agent", "Envoy/HC") in seen.fields:
            return
        with self.changed:
            self.seen.append(seen)
            self.changed.notify_all()

    def wait(self, count: int, limit: float) -> None:
        """Until so many requests have come; not longer than ``limit`` seconds."""
        with self.changed:
            self.changed.wait_for(lambda: len(self.seen) >= count, limit)


class Servers:
    """All servers of one proxy, with their ``ports`` by name. Close them at the end."""

    def __init__(self, contexts: Mapping[str, ssl.SSLContext]) -> None:
        self.script = Script()
        self._stack = contextlib.ExitStack()
        self.ports: dict[str, int] = {}
        for name in (*SERVERS, *contexts):
            serving = _Serving(name, self.script, contexts.get(name))
            server = ScriptedServer(serving.serve)
            self._stack.callback(server.close)
            self.ports[name] = server.port
        taken = self._stack.enter_context(socket.socket())
        taken.bind(("127.0.0.1", 0))
        self.ports[NOBODY] = int(taken.getsockname()[1])
        names = DnsServer(_address)
        self._stack.callback(names.close)
        self.ports[NAMES] = names.port

    def close(self) -> None:
        self._stack.close()


def _address(query: bytes, _transport: str) -> bytes | None:
    """The answer for a name: none at all for one that begins with ``silent``, a failure for ``broken``."""
    _, name, kind = question_of(query)
    if name.startswith("silent."):
        return None
    if name.startswith("broken."):
        return message(query, code=2)
    if not name.endswith((".named", ".example")):
        return message(query, code=3)
    return message(query, [record(name, "127.0.0.1", 3600)] if kind == A else [])


class _Serving:
    """What one server does with its connections."""

    def __init__(self, name: str, script: Script, context: ssl.SSLContext | None) -> None:
        self._name = name
        self._script = script
        self._context = context

    def serve(self, wire: Wire, number: int) -> None:
        if self._context is not None:
            self._context.sni_callback = _note_name
            try:
                wire = Wire(self._context.wrap_socket(wire.sock, server_side=True))
            except OSError:
                return
        with contextlib.suppress(EndedError):
            if self._script.talks(self._name):
                self._talk(wire)
            elif self._is_http2(wire):
                _Http2(self._name, self._script, wire.sock).serve()
            else:
                self._http1(wire)

    def _talk(self, wire: Wire) -> None:
        said = talk(wire, self._script.next(self._name)["talk"])
        body = b"".join(part.encode("latin-1") for part in said)
        self._script.note(Seen(self._name, "bytes", "", "", (), body))

    def _is_http2(self, wire: Wire) -> bool:
        if isinstance(wire.sock, ssl.SSLSocket):
            return wire.sock.selected_alpn_protocol() == "h2"
        return wire.sock.recv(3, socket.MSG_PEEK) == PREFACE[:3]

    def _http1(self, wire: Wire) -> None:
        while head := wire.head():
            answer = self._script.next(self._name)
            if not answer.get("early"):
                self._read(wire, head)
            if not _answer(wire, self._name, head, answer):
                return

    def _read(self, wire: Wire, head: bytes) -> None:
        fields = fields_of(head)
        body, trailers, complete = b"", b"", True
        try:
            if fields.get("transfer-encoding") == "chunked":
                body, trailers = wire.chunks()
            elif "content-length" in fields:
                body = wire.exactly(int(fields["content-length"]))
        except (OSError, ValueError):
            complete = False
        method, target, version = head.split(b"\r\n")[0].decode("latin-1").split(" ", 2)
        kept = fields_in(head.split(b"\r\n")[1:])
        self._script.note(
            Seen(
                self._name,
                version,
                method,
                target,
                kept,
                body,
                fields_in(trailers.split(b"\r\n")),
                complete,
                name_asked_for(wire.sock),
            )
        )


def _note_name(sock: Any, name: str | None, _context: ssl.SSLContext) -> None:
    """Keeps the name that a client asks for, on its socket."""
    sock.asked_for = name or ""


def name_asked_for(sock: socket.socket) -> str:
    """Of a connection of TLS, where the client said one."""
    return str(getattr(sock, "asked_for", ""))


def _answer(wire: Wire, name: str, head: bytes, answer: Mapping[str, Any]) -> bool:
    """Answers a request of HTTP/1; returns whether the connection goes on."""
    if answer.get("reset"):
        wire.reset()
        return False
    if answer.get("close"):
        return False
    if answer.get("hang"):
        wire.rest()
        return False
    for interim in answer.get("interim", ()):
        wire.send(_head(interim["status"], interim.get("headers", {})))
    wire.send(as_bytes(answer["raw"]) if "raw" in answer else _message(name, head, answer))
    then = answer.get("then", "")
    if then == "reset":
        wire.reset()
    elif then == "echo":
        while wire.more():
            wire.send(wire.taken())
    elif then == "hang":
        wire.rest()
    elif then:
        talk(wire, then) if isinstance(then, list) else None
    return not then and "until_close" not in answer


def _message(name: str, head: bytes, answer: Mapping[str, Any]) -> bytes:
    status = answer.get("status", 200)
    headers = _pairs(answer.get("headers", {}))
    body = as_bytes(answer.get("body", name))
    if "chunks" in answer or "trailers" in answer:
        chunks = [as_bytes(chunk) for chunk in answer.get("chunks", [body])]
        content = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
        lines = "".join(f"{key}: {value}\r\n" for key, value in _pairs(answer.get("trailers", {})))
        return (
            _head(status, [*headers, ("transfer-encoding", "chunked")])
            + content
            + f"0\r\n{lines}\r\n".encode("latin-1")
        )
    if status in (204, 304) or answer.get("until_close"):
        return _head(status, headers) + (body if answer.get("until_close") else b"")
    if not any(key == "content-length" for key, _ in headers):
        headers = [*headers, ("content-length", str(len(body)))]
    return _head(status, headers) + (b"" if head.startswith(b"HEAD ") else body)


def _head(status: int, headers: Any) -> bytes:
    lines = "".join(f"{key}: {value}\r\n" for key, value in _pairs(headers))
    return f"HTTP/1.1 {status} {'OK' if status == 200 else 'Status'}\r\n{lines}\r\n".encode("latin-1")


def _pairs(headers: Any) -> list[tuple[str, str]]:
    """Fields given as a mapping, or as a list of pairs where a name comes twice."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return [(str(key), str(value)) for key, value in pairs]


def _call(content: str) -> dict[str, Any]:
    """What a call of gRPC answers with one message."""
    headers, trailers = {"content-type": "application/grpc"}, {"grpc-status": "0"}
    return {"headers": headers, "body": f"\0\0\0\0{chr(len(content))}{content}", "trailers": trailers}


_HEALTH: dict[str, dict[str, Any]] = {
    "healthy": _call("\x08\x01"),
    "two": _call("\x08\x02"),
    "three": {"headers": {"content-type": "application/grpc", "grpc-status": "12"}, "body": ""},
}
"""What servers answer to checks of their health by gRPC; who is not here does not speak it."""


class _Http2:
    """A connection of HTTP/2."""

    def __init__(self, name: str, script: Script, sock: socket.socket) -> None:
        self._name = name
        self._script = script
        self._asked_for = name_asked_for(sock)
        self._peer = Peer(sock, False)
        self._done: set[int] = set()

    def serve(self) -> None:
        peer = self._peer
        with peer:
            while peer.read():
                for number, message in list(peer.messages.items()):
                    if message.ended and number not in self._done:
                        self._done.add(number)
                        self._note(message)
                        if message.reset is None and not self._answer(number, message):
                            return

    def _note(self, message: Message) -> None:
        fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message.fields]
        pseudo = dict(pair for pair in fields if pair[0].startswith(":"))
        kept = [pair for pair in fields if not pair[0].startswith(":")]
        kept.insert(0, ("host", pseudo.get(":authority", "")))
        trailers = tuple((name.decode(), value.decode("latin-1")) for name, value in message.trailers or ())
        self._script.note(
            Seen(
                self._name,
                "HTTP/2",
                pseudo.get(":method", ""),
                pseudo.get(":path", ""),
                tuple(kept),
                message.body,
                trailers,
                message.whole,
                self._asked_for,
            )
        )

    def _answer(self, number: int, message: Message) -> bool:
        peer = self._peer
        checked = message.get(":path") == "/grpc.health.v1.Health/Check"
        answer = _HEALTH.get(self._name, {}) if checked else self._script.next(self._name)
        if answer.get("close"):
            return False
        if "reset" in answer:
            peer.h2.reset_stream(number, int(answer["reset"]))
            peer.flush()
            return True
        if answer.get("hang"):
            return True
        trailers = _pairs(answer.get("trailers", {}))
        body = b"".join(map(as_bytes, answer.get("chunks", ()))) or as_bytes(answer.get("body", self._name))
        if message.get(":method") == "HEAD" or answer.get("status") in (204, 304):
            body = b""
        head = [(":status", str(answer.get("status", 200))), *_pairs(answer.get("headers", {}))]
        peer.h2.send_headers(number, head, end_stream=not body and not trailers)
        if body:
            peer.send(number, body, end=not trailers and "then" not in answer)
        if "then" in answer:
            peer.h2.reset_stream(number, int(answer["then"]))
        elif trailers:
            peer.h2.send_headers(number, trailers, end_stream=True)
        peer.flush()
        return True


__all__ = ["NOBODY", "SECURE", "SERVERS", "Script", "Seen", "Servers", "listening_socket"]

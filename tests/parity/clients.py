"""The clients: one conversation with a proxy, and everything that was heard in it."""

import contextlib
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.parity.backends import _pairs
from tests.parity.case_files import Case
from tests.parity.steps import as_bytes, fields_in, talk
from tests.support.http2_peers import Http2Client, Message
from tests.support.raw_http import Wire

LIMIT = 5.0
"""Seconds after which nothing more is waited for; what did not come is part of the outcome."""
Fields = tuple[tuple[str, str], ...]


@dataclass
class Heard:
    """One answer. ``end`` is how it ended: ``whole``, ``cut``, ``nothing``, or ``reset CODE``."""

    status: int = 0
    reason: str = ""
    fields: Fields = ()
    body: bytes = b""
    trailers: Fields = ()
    interim: tuple[int, ...] = ()
    end: str = "whole"
    said: list[str] = field(default_factory=list)
    """What was heard step by step."""


class Talked(NamedTuple):
    """What was heard, and the port that the client had."""

    heard: list[Heard]
    client: int = 0


def converse(case: Case, port: int, context: Callable[[Mapping[str, Any]], ssl.SSLContext]) -> Talked:
    """Holds the conversation of a case on a connection of its own."""
    sock = socket.create_connection(("127.0.0.1", port), LIMIT)
    client = int(sock.getsockname()[1])
    try:
        if case.tls is not None:
            sock.settimeout(case.patience)
            sock = context(case.tls).wrap_socket(sock, server_hostname=case.tls.get("name"))
    except OSError as error:
        sock.close()
        return Talked([Heard(end=f"refused: {_reason(error)}")], client)
    with sock:
        return Talked(_held(case, sock), client)


def _held(case: Case, sock: socket.socket) -> list[Heard]:
    if case.kind == "ask" and case.protocol == "http2":
        return _http2(case, sock)
    wire = Wire(sock)
    sock.settimeout(case.patience)
    if case.kind == "talk":
        return [_talked(wire, case.said)]
    return _raw(wire, case) if case.kind == "raw" else _http1(wire, case)


def _reason(error: OSError) -> str:
    """TLS refuses in words that depend on the moment; that it does is what counts."""
    return "TLS" if isinstance(error, ssl.SSLError | ConnectionError) else type(error).__name__


def _talked(wire: Wire, steps: list[Any]) -> Heard:
    heard = Heard()
    try:
        heard.said = talk(wire, steps)
    except OSError:
        heard.end = "cut"
    return heard


def asked(value: Any) -> dict[str, Any]:
    """A request; one line alone is short for it."""
    given = {"line": value} if isinstance(value, str) else dict(value)
    unknown = given.keys() - {"line", "headers", "body", "chunks", "trailers", "talk", "version"}
    if unknown:
        raise ValueError(f"a request has no {', '.join(sorted(unknown))}")
    return given


def _http1(wire: Wire, case: Case) -> list[Heard]:
    heard = []
    for value in case.said if isinstance(case.said, list) else [case.said]:
        request = asked(value)
        with contextlib.suppress(OSError):  # it may have answered, and closed, before
            wire.send(head_of(request) + body_of(request))
        heard.append(read_answer(wire, request["line"].split(" ")[0]))
        if "talk" in request:
            heard[-1].said = talk(wire, request["talk"])
    return heard


def head_of(request: Mapping[str, Any]) -> bytes:
    """A request's head as HTTP/1 has it; without another ``host`` it is for ``test``."""
    headers = [(name, value) for name, value in _pairs(request.get("headers", {})) if value != "None"]
    if not any(name.lower() == "host" for name, _ in _pairs(request.get("headers", {}))):
        headers.insert(0, ("host", "test"))
    if "chunks" in request or "trailers" in request:
        headers.append(("transfer-encoding", "chunked"))
    elif "body" in request and not any(name.lower() == "content-length" for name, _ in headers):
        headers.append(("content-length", str(len(as_bytes(request["body"])))))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"{request['line']} HTTP/{request.get('version', '1.1')}\r\n{lines}\r\n".encode("latin-1")


def body_of(request: Mapping[str, Any]) -> bytes:
    """Its body as HTTP/1 has it."""
    if "chunks" not in request and "trailers" not in request:
        return as_bytes(request.get("body", b""))
    chunks = [as_bytes(chunk) for chunk in request.get("chunks", [request.get("body", b"")])]
    content = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks if chunk)
    lines = "".join(f"{name}: {value}\r\n" for name, value in _pairs(request.get("trailers", {})))
    return content + f"0\r\n{lines}\r\n".encode("latin-1")


def read_answer(wire: Wire, method: str) -> Heard:
    """The next answer, with the interim ones before it."""
    interim: list[int] = []
    while True:
        try:
            head = wire.head()
        except TimeoutError:
            return Heard(end="nothing", interim=tuple(interim))
        except OSError:
            head = b""
        if not head:
            return Heard(end="cut", interim=tuple(interim))
        lines = head.split(b"\r\n")
        _, code, *rest = lines[0].split(b" ", 2)
        status = int(code)
        if status >= 200 or status == 101:
            break
        interim.append(status)
    reason = b"".join(rest).decode("latin-1")
    heard = Heard(status, reason, fields_in(lines[1:]), interim=tuple(interim))
    if method != "HEAD" and status not in (101, 204, 304):
        _read_body(wire, heard)
    return heard


def _read_body(wire: Wire, heard: Heard) -> None:
    fields = dict(heard.fields)
    try:
        if fields.get("transfer-encoding") == "chunked":
            heard.body, trailers = wire.chunks()
            heard.trailers = fields_in(trailers.split(b"\r\n"))
        elif "content-length" in fields:
            heard.body = wire.exactly(int(fields["content-length"]))
        else:
            heard.body = wire.rest()
    except TimeoutError:
        heard.end = "nothing"
    except (OSError, ValueError):
        heard.end = "cut"


def _raw(wire: Wire, case: Case) -> list[Heard]:
    """Bytes, and so many answers; then this side ends, and what is still said is heard too."""
    data = b"".join(map(as_bytes, case.said)) if isinstance(case.said, list) else as_bytes(case.said)
    with contextlib.suppress(OSError):
        wire.send(data)
    method = data.lstrip().split(b" ")[0].decode("latin-1")
    heard = []
    for _ in range(case.answers):
        heard.append(read_answer(wire, method))
        if heard[-1].end in ("cut", "nothing") or heard[-1].status == 0:
            return heard
        if ("connection", "close") in heard[-1].fields:
            break
    with contextlib.suppress(OSError):
        wire.end()
        rest = wire.rest().decode("latin-1")
        if rest or not heard:
            heard = heard or [Heard()]
            heard[-1].said = [rest]
    return heard


def _http2(case: Case, sock: socket.socket) -> list[Heard]:
    heard = []
    client = Http2Client(sock)
    client.h2.config.validate_outbound_headers = False
    client.h2.config.normalize_outbound_headers = False
    for value in case.said if isinstance(case.said, list) else [case.said]:
        try:
            heard.append(_stream(client, asked(value), "https" if case.tls is not None else "http"))
        except (TimeoutError, AssertionError, OSError) as error:
            gone = f" GOAWAY {int(client.gone.error_code)}" if client.gone is not None else ""
            heard.append(Heard(end=("nothing" if isinstance(error, TimeoutError) else "cut") + gone))
            break
    return heard


def _stream(client: Http2Client, request: Mapping[str, Any], scheme: str) -> Heard:
    method, target = request["line"].split(" ", 1)
    pseudo = {":method": method, ":scheme": scheme, ":authority": "test", ":path": target}
    fields: list[tuple[str, str]] = []
    for name, value in _pairs(request.get("headers", {})):
        if name == "host":
            name = ":authority"
        if name in pseudo:
            pseudo[name] = value
        else:
            fields.append((name, value))
    head = [pair for pair in pseudo.items() if pair[1] != "None"] + fields
    content = b"".join(map(as_bytes, request.get("chunks", ()))) or as_bytes(request.get("body", b""))
    trailers = _pairs(request.get("trailers", {}))
    number = client.h2.get_next_available_stream_id()
    client.h2.send_headers(number, head, end_stream=not content and not trailers and "body" not in request)
    client.messages[number] = Message()
    client.flush()
    if content or "body" in request:
        client.send(number, content, end=not trailers)
    if trailers:
        client.h2.send_headers(number, trailers, end_stream=True)
        client.flush()
    return _heard(client.reply(number))


def _heard(message: Message) -> Heard:
    def texts(fields: Any) -> Fields:
        return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in fields or ())

    interim = tuple(int(dict(fields)[b":status"]) for fields in message.interim)
    plain = tuple(pair for pair in texts(message.fields) if not pair[0].startswith(":"))
    end = "whole" if message.reset is None else f"reset {int(message.reset)}"
    return Heard(message.status, "", plain, message.body, texts(message.trailers), interim, end)

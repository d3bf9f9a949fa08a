"""Expressions of CEL about a record: what filters of access logs are written in (Istio's Telemetry). Compiled to functions.

https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/advanced/attributes and the language's definition. Of it there
are booleans, numbers, strings and lists, ``&& || !``, comparisons, ``in``, ``has``, ``size``, ``startsWith``, ``endsWith``,
``contains`` and ``matches`` (RE2). What is anything else is refused by name. A value that is not there is an error, and an
expression that ends in one does not hold; ``&&`` and ``||`` hold or fail without it where the other side decides (CEL).
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import re2

from mesh_proxy.telemetry.operators import FormatError, grpc_status, port_of
from mesh_proxy.telemetry.record import Record

Evaluate = Callable[[Record], Any]


class MissingError(LookupError):
    """A value that is not there, or is of another kind than it must be."""


def compile_expression(text: str) -> Callable[[Record], bool]:
    """Whether the expression holds for a record. Raises :class:`FormatError`."""
    parser = _Parser(text)
    evaluate = parser.expression()
    parser.end()

    def holds(record: Record) -> bool:
        try:
            return evaluate(record) is True
        except MissingError:
            return False

    return holds


# Attributes.


def _text(value: bytes) -> str:
    if not value:
        raise MissingError
    return value.decode("utf-8", "replace")


def _head(record: Record) -> Any:
    if record.request is None:
        raise MissingError
    return record.request


def _peer(record: Record, part: str) -> str:
    facts = record.connection
    if facts is None or facts.peer is None:
        raise MissingError
    found = getattr(facts.peer, part)
    return _text(found if isinstance(found, bytes) else (found[0] if found else b""))


def _number(value: int) -> int:
    if value < 0:
        raise MissingError
    return value


def _status(record: Record) -> int:
    if not record.status:
        raise MissingError
    return record.status


def _mutual(record: Record) -> bool:
    facts = record.connection
    return facts is not None and facts.peer is not None and facts.peer.certificate != b""


def _tls_version(record: Record) -> str:
    facts = record.connection
    return _text(b"" if facts is None or facts.secured is None else facts.secured.version)


def _fields(head: Any) -> dict[str, str]:
    if head is None:
        return {}
    return {name.decode(): value.decode("utf-8", "replace") for name, value in head.index().items()}


def _request_fields(record: Record) -> dict[str, str]:
    head = _head(record)
    pseudo = {":method": head.method, ":path": record.path, ":authority": head.host, ":scheme": head.scheme}
    return {**_fields(head), **{name: value.decode("utf-8", "replace") for name, value in pseudo.items() if value}}


def _header(name: bytes) -> Evaluate:
    return lambda record: _text(_head(record).get(name) or b"")


ATTRIBUTES: Final[Mapping[str, Evaluate]] = {
    "request.path": lambda r: _text(_head(r) and r.path),
    "request.url_path": lambda r: _text((_head(r) and r.path).partition(b"?")[0]),
    "request.query": lambda r: (_head(r) and r.path).partition(b"?")[2].decode("utf-8", "replace"),
    "request.host": lambda r: _text(_head(r).host),
    "request.scheme": lambda r: _text(_head(r).scheme),
    "request.method": lambda r: _text(_head(r).method),
    "request.headers": _request_fields,
    "request.referer": _header(b"referer"),
    "request.useragent": _header(b"user-agent"),
    "request.id": _header(b"x-request-id"),
    "request.protocol": lambda r: _text(r.protocol),
    "request.size": lambda r: r.bytes_received,
    "request.total_size": lambda r: r.bytes_received + r.head_received,
    "response.code": _status,
    "response.code_details": lambda r: _text(r.details.encode()),
    "response.headers": lambda r: _fields(r.response),
    "response.trailers": lambda r: {name.decode(): value.decode() for _, name, value, _ in r.trailers},
    "response.size": lambda r: r.bytes_sent,
    "response.total_size": lambda r: r.bytes_sent + r.head_sent,
    "response.grpc_status": lambda r: _number(grpc_status(r)),
    "source.address": lambda r: _text(r.downstream_remote),
    "source.port": lambda r: _number(port_of(r.downstream_remote)),
    "destination.address": lambda r: _text(r.downstream_local),
    "destination.port": lambda r: _number(port_of(r.downstream_local)),
    "connection.id": lambda r: _number(-1 if r.connection is None else r.connection.number),
    "connection.mtls": _mutual,
    "connection.requested_server_name": lambda r: r.sni.decode("utf-8", "replace"),
    "connection.tls_version": _tls_version,
    "connection.subject_peer_certificate": lambda r: _peer(r, "subject"),
    "connection.uri_san_peer_certificate": lambda r: _peer(r, "uris"),
    "connection.dns_san_peer_certificate": lambda r: _peer(r, "dns"),
    "connection.termination_details": lambda r: _text(r.termination.encode()),
    "upstream.address": lambda r: _text(r.upstream_host if r.upstream is not None else b""),
    "upstream.port": lambda r: _number(port_of(r.upstream_host) if r.upstream is not None else -1),
    "upstream.local_address": lambda r: _text(r.upstream_local),
    "upstream.transport_failure_reason": lambda r: _text(r.failure.encode()),
    "upstream.request_attempt_count": lambda r: r.attempts,
    "xds.cluster_name": lambda r: _text(r.cluster),
    "xds.route_name": lambda r: _text(r.route),
}
"""Attributes and what they are of a record. Raise :class:`MissingError`."""

# The language.

_TOKENS: Final = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?u?)|(?P<string>r?\"(?:[^\"\\]|\\.)*\"|r?'(?:[^'\\]|\\.)*')"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<sign>&&|\|\||==|!=|<=|>=|[-!<>()\[\].,?:+*/%]))"
)
_COMPARED: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "==": lambda a, b: type(a) is type(b) and a == b,
    "!=": lambda a, b: type(a) is not type(b) or a != b,
    "<": lambda a, b: bool(a < b),
    "<=": lambda a, b: bool(a <= b),
    ">": lambda a, b: bool(a > b),
    ">=": lambda a, b: bool(a >= b),
}
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'", "`": "`", "?": "?"}


class _Parser:
    """Reads an expression, and makes a function of it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, str]] = []
        place = 0
        while text[place:].strip():
            found = _TOKENS.match(text, place)
            if found is None:
                raise self._error(f"{text[place:].strip()[:10]!r} is not understood")
            self._tokens.append((found.lastgroup or "", found[found.lastgroup or 0]))
            place = found.end()
        self._tokens.append(("end", ""))
        self._place = 0

    def _error(self, reason: str) -> FormatError:
        return FormatError(f"the expression {self._text!r}: {reason}")

    def _sign(self, *signs: str) -> str:
        """Takes one of these signs, if it is the next token."""
        kind, value = self._tokens[self._place]
        if kind == "sign" and value in signs:
            self._place += 1
            return value
        return ""

    def _must(self, sign: str) -> None:
        if not self._sign(sign):
            raise self._error(f"{sign!r} is missing before {self._tokens[self._place][1] or 'the end'!r}")

    def end(self) -> None:
        """Nothing may follow."""
        if self._tokens[self._place][0] != "end":
            raise self._error(f"{self._tokens[self._place][1]!r} is not supported there")

    def expression(self) -> Evaluate:
        """``||`` binds least."""
        found = self._conjunction()
        while self._sign("||"):
            found = _decided(found, self._conjunction(), True)
        return found

    def _conjunction(self) -> Evaluate:
        found = self._relation()
        while self._sign("&&"):
            found = _decided(found, self._relation(), False)
        return found

    def _relation(self) -> Evaluate:
        left = self._unary()
        if self._tokens[self._place] == ("name", "in"):
            self._place += 1
            return _contained(left, self._unary())
        sign = self._sign(*_COMPARED)
        return left if not sign else _compared(_COMPARED[sign], left, self._unary())

    def _unary(self) -> Evaluate:
        if self._sign("!"):
            inner = self._unary()
            return lambda record: not _boolean(inner(record))
        if self._sign("-"):
            number = self._unary()
            return lambda record: -_of(int | float, number(record))
        return self._member(self._primary())

    def _primary(self) -> Evaluate:
        kind, value = self._tokens[self._place]
        if self._sign("("):
            found = self.expression()
            self._must(")")
            return found
        if self._sign("["):
            return self._list()
        self._place += 1
        if kind == "number":
            number = float(value) if "." in value else int(value.rstrip("u"))
            return lambda record: number
        if kind == "string":
            text = _unescaped(value)
            return lambda record: text
        if kind == "name":
            return self._named(value)
        raise self._error(f"{value or 'the end'!r} is not supported there")

    def _list(self) -> Evaluate:
        items: list[Evaluate] = []
        while not self._sign("]"):
            items.append(self.expression())
            if not self._sign(","):
                self._must("]")
                break
        return lambda record: [item(record) for item in items]

    def _named(self, name: str) -> Evaluate:
        if name in ("true", "false"):
            constant = name == "true"
            return lambda record: constant
        if name in ("has", "size"):
            self._must("(")
            inner = self.expression()
            self._must(")")
            return _has(inner) if name == "has" else lambda record: len(_of(str | list | dict, inner(record)))
        if not self._sign("."):
            raise self._error(f"{name} is not supported")
        kind, part = self._tokens[self._place]
        self._place += 1
        attribute = ATTRIBUTES.get(f"{name}.{part}")
        if kind != "name" or attribute is None:
            raise self._error(f"the attribute {name}.{part} is not supported")
        return attribute

    def _member(self, found: Evaluate) -> Evaluate:
        """``[...]``, ``.field`` and ``.function(...)`` behind a value."""
        while True:
            if self._sign("["):
                found = _indexed(found, self.expression())
                self._must("]")
            elif self._sign("."):
                kind, name = self._tokens[self._place]
                self._place += 1
                if kind != "name":
                    raise self._error(f"{name!r} is no name")
                found = self._called(found, name)
            else:
                return found

    def _called(self, found: Evaluate, name: str) -> Evaluate:
        if not self._sign("("):
            return _indexed(found, lambda record: name)
        if name == "size":
            self._must(")")
            return lambda record: len(_of(str | list | dict, found(record)))
        argument = self.expression()
        self._must(")")
        if name == "startsWith":
            return lambda record: _of(str, found(record)).startswith(_of(str, argument(record)))
        if name == "endsWith":
            return lambda record: _of(str, found(record)).endswith(_of(str, argument(record)))
        if name == "contains":
            return lambda record: _of(str, argument(record)) in _of(str, found(record))
        if name == "matches":
            return _matched(found, argument)
        raise self._error(f"the function {name} is not supported")


def _of(kind: Any, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, kind):
        raise MissingError
    return value


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise MissingError
    return value


def _decided(left: Evaluate, right: Evaluate, by: bool) -> Evaluate:
    """``||`` (decided by true) or ``&&``: an error on one side does not matter where the other decides."""

    def evaluate(record: Record) -> bool:
        try:
            if _boolean(left(record)) is by:
                return by
        except MissingError:
            if _boolean(right(record)) is by:
                return by
            raise
        return _boolean(right(record))

    return evaluate


def _compared(compare: Callable[[Any, Any], bool], left: Evaluate, right: Evaluate) -> Evaluate:
    def evaluate(record: Record) -> bool:
        try:
            return compare(left(record), right(record))
        except TypeError:
            raise MissingError from None

    return evaluate


def _contained(left: Evaluate, right: Evaluate) -> Evaluate:
    return lambda record: left(record) in _of(list | dict, right(record))


def _has(inner: Evaluate) -> Evaluate:
    def evaluate(record: Record) -> bool:
        try:
            inner(record)
        except MissingError:
            return False
        return True

    return evaluate


def _indexed(found: Evaluate, key: Evaluate) -> Evaluate:
    def evaluate(record: Record) -> Any:
        holder, name = found(record), key(record)
        if isinstance(holder, dict) and name in holder:
            return holder[name]
        if isinstance(holder, list) and isinstance(name, int) and 0 <= name < len(holder):
            return holder[name]
        raise MissingError

    return evaluate


def _matched(found: Evaluate, pattern: Evaluate) -> Evaluate:
    known: dict[str, Any] = {}

    def evaluate(record: Record) -> bool:
        text, wanted = _of(str, found(record)), _of(str, pattern(record))
        if wanted not in known:
            try:
                known[wanted] = re2.compile(wanted)
            except re2.error:
                raise MissingError from None
        return known[wanted].search(text) is not None

    return evaluate


def _unescaped(literal: str) -> str:
    if literal.startswith("r"):
        return literal[2:-1]
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[0]), literal[1:-1])

"""Expressions of CEL about a record (:mod:`mesh_api.expressions`): what filters of access logs and labels of metrics are
written in. Compiled to functions.

A value that is not there is an error, and a condition that ends in one does not hold; ``&&`` and ``||`` hold or fail without
it where the other side decides (CEL).
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import re2

from mesh_api.expressions import Attribute, Constant, Expression, ExpressionError, parse
from mesh_proxy.telemetry.operators import FormatError, grpc_status, port_of
from mesh_proxy.telemetry.record import Record

Evaluate = Callable[[Record], Any]


class MissingError(LookupError):
    """A value that is not there, or is of another kind than it must be."""


def compile_expression(text: str) -> Callable[[Record], bool]:
    """Whether the expression holds for a record. Raises :class:`FormatError`."""
    evaluate = _read(text)

    def holds(record: Record) -> bool:
        try:
            return evaluate(record) is True
        except MissingError:
            return False

    return holds


def compile_value(text: str) -> Callable[[Record], str]:
    """What the expression is for a record, as text; empty where it has no value. Raises :class:`FormatError`."""
    evaluate = _read(text)

    def value(record: Record) -> str:
        try:
            return _written(evaluate(record))
        except MissingError:
            return ""

    return value


def _read(text: str) -> Evaluate:
    try:
        return _made(parse(text))
    except ExpressionError as error:
        raise FormatError(str(error)) from None


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
    "response.trailers": lambda r: {
        field.name.decode(): field.value.decode("utf-8", "replace") for field in r.trailers
    },
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

_COMPARED: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "==": lambda a, b: type(a) is type(b) and a == b,
    "!=": lambda a, b: type(a) is not type(b) or a != b,
    "<": lambda a, b: bool(a < b),
    "<=": lambda a, b: bool(a <= b),
    ">": lambda a, b: bool(a > b),
    ">=": lambda a, b: bool(a >= b),
}


def _made(tree: Expression) -> Evaluate:
    if isinstance(tree, Constant):
        constant = tree.value
        return lambda record: constant
    if isinstance(tree, Attribute):
        return ATTRIBUTES[tree.name]
    operands = [_made(operand) for operand in tree.operands]
    if tree.name in _COMPARED:
        return _compared(_COMPARED[tree.name], *operands)
    if tree.name == "list":
        return lambda record: [item(record) for item in operands]
    return _OPERATIONS[tree.name](*operands)


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


def _chosen(condition: Evaluate, held: Evaluate, other: Evaluate) -> Evaluate:
    return lambda record: held(record) if _boolean(condition(record)) else other(record)


def _sum(left: Evaluate, right: Evaluate) -> Evaluate:
    def evaluate(record: Record) -> Any:
        one, two = left(record), right(record)
        if type(one) is not type(two):
            raise MissingError
        return _of(str | int | float | list, one) + two

    return evaluate


def _called(name: str) -> Callable[[Evaluate, Evaluate], Evaluate]:
    """A function of texts that Python's strings have as well."""

    def of(found: Evaluate, argument: Evaluate) -> Evaluate:
        return lambda record: getattr(_of(str, found(record)), name)(_of(str, argument(record)))

    return of


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(_of(str | int | float, value))


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


def _refuted(inner: Evaluate) -> Evaluate:
    return lambda record: not _boolean(inner(record))


def _negated(inner: Evaluate) -> Evaluate:
    return lambda record: -_of(int | float, inner(record))


def _sized(inner: Evaluate) -> Evaluate:
    return lambda record: len(_of(str | list | dict, inner(record)))


def _as_text(inner: Evaluate) -> Evaluate:
    return lambda record: _written(inner(record))


def _containing(found: Evaluate, argument: Evaluate) -> Evaluate:
    return lambda record: _of(str, argument(record)) in _of(str, found(record))


_OPERATIONS: Final[Mapping[str, Callable[..., Evaluate]]] = {
    "||": lambda left, right: _decided(left, right, True),
    "&&": lambda left, right: _decided(left, right, False),
    "!": _refuted,
    "negated": _negated,
    "?:": _chosen,
    "+": _sum,
    "in": _contained,
    "[]": _indexed,
    "has": _has,
    "size": _sized,
    "string": _as_text,
    "startsWith": _called("startswith"),
    "endsWith": _called("endswith"),
    "contains": _containing,
    "matches": _matched,
}

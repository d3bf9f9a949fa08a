"""Access log formats with Envoy's command operators, compiled to functions.

https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage
"""

import json
import re
import time
from collections.abc import Callable

from mesh_api.config import AccessLog
from mesh_proxy.protocol.http1 import Head
from mesh_proxy.telemetry.record import Record

Operator = Callable[[Record], bytes]
_OPERATOR = re.compile(r"%(?:%|([A-Z_]+)(?:\(([^)]*)\))?(?::(\d+))?%)")
_ABSENT = b"-"


class FormatError(ValueError):
    """A format with an operator that is not known, or that is not used as it must be."""


def _or_absent(value: bytes) -> bytes:
    return value or _ABSENT


def _start_time(record: Record) -> bytes:
    whole = int(record.started)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
    return f"{stamp}.{int((record.started - whole) * 1000):03d}Z".encode()


def _duration(record: Record) -> bytes:
    return b"%d" % int((record.ended - record.began) * 1000)


def _port_less(address: bytes) -> bytes:
    return address.rpartition(b":")[0].strip(b"[]")


_SIMPLE: dict[str, Operator] = {
    "START_TIME": _start_time,
    "PROTOCOL": lambda r: _or_absent(r.protocol),
    "RESPONSE_CODE": lambda r: b"%d" % r.status,
    "RESPONSE_FLAGS": lambda r: _or_absent(r.flags.encode()),
    "RESPONSE_CODE_DETAILS": lambda r: _or_absent(r.details.encode()),
    "CONNECTION_TERMINATION_DETAILS": lambda r: _or_absent(r.termination.encode()),
    "UPSTREAM_TRANSPORT_FAILURE_REASON": lambda r: _or_absent(r.failure.encode()),
    "BYTES_RECEIVED": lambda r: b"%d" % r.bytes_received,
    "BYTES_SENT": lambda r: b"%d" % r.bytes_sent,
    "DURATION": _duration,
    "UPSTREAM_HOST": lambda r: _or_absent(r.upstream_host),
    "UPSTREAM_CLUSTER": lambda r: _or_absent(r.cluster),
    "UPSTREAM_CLUSTER_RAW": lambda r: _or_absent(r.cluster),
    "UPSTREAM_LOCAL_ADDRESS": lambda r: _or_absent(r.upstream_local),
    "DOWNSTREAM_LOCAL_ADDRESS": lambda r: _or_absent(r.downstream_local),
    "DOWNSTREAM_REMOTE_ADDRESS": lambda r: _or_absent(r.downstream_remote),
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": lambda r: _or_absent(_port_less(r.downstream_remote)),
    "REQUESTED_SERVER_NAME": lambda r: _or_absent(r.sni),
    "ROUTE_NAME": lambda r: _or_absent(r.route),
}


_NUMBERS = frozenset({"RESPONSE_CODE", "BYTES_RECEIVED", "BYTES_SENT", "DURATION"})


def operator(name: str, argument: str, limit: int | None) -> Operator:
    """One operator. Raises :class:`FormatError`."""
    if name in ("REQ", "RESP"):
        found = _header(name == "REQ", argument)
    elif name in _SIMPLE:
        found = _SIMPLE[name]
    else:
        raise FormatError(f"the access log operator %{name}% is not supported")
    if bool(argument) is not (name in ("REQ", "RESP")) or (limit is not None and name in _NUMBERS):
        raise FormatError(f"the access log operator %{name}% is not supported in this form")
    if limit is None:
        return found
    return lambda record: found(record)[:limit]


def _header(request: bool, argument: str) -> Operator:
    names = [name.strip().lower().encode() for name in argument.split("?")]

    def value(record: Record) -> bytes:
        head = record.request if request else record.response
        for name in names:
            found = _special(record, name) if request else None
            if found is None and head is not None:
                found = _field(head, name)
            if found:
                return found
        return _ABSENT

    return value


def _special(record: Record, name: bytes) -> bytes | None:
    if name == b":path":
        return record.path
    return record.original_path if name == b"x-envoy-original-path" else None


def _field(head: Head, name: bytes) -> bytes | None:
    if name == b":method":
        return head.method
    if name in (b":authority", b"host"):
        return head.host
    return head.get(name)


def compile_text(text: str) -> Operator:
    """A format as a function of a record. Raises :class:`FormatError`."""
    parts: list[bytes | Operator] = []
    end = 0
    for found in _OPERATOR.finditer(text):
        parts.append(_constant(text, text[end : found.start()]))
        name, argument, limit = found.groups()
        parts.append(b"%" if name is None else operator(name, argument or "", int(limit) if limit else None))
        end = found.end()
    parts.append(_constant(text, text[end:]))
    return lambda record: b"".join(part if isinstance(part, bytes) else part(record) for part in parts)


def _constant(text: str, part: str) -> bytes:
    if "%" in part:
        raise FormatError(f"{text!r} has a % that begins no operator (%% writes one)")
    return part.encode()


def compile_log(config: AccessLog) -> Operator:
    """The line of one record; an empty one when the log does not want it."""
    if config.json_format:
        fields = [(key, _json_value(text)) for key, text in config.json_format]
        line: Operator = lambda record: (  # noqa: E731 (one expression of the same form as the text's)
            json.dumps({key: make(record) for key, make in fields}, separators=(",", ":")).encode() + b"\n"
        )
    else:
        line = compile_text(config.text_format)
    if not config.response_flags:
        return line
    wanted = frozenset(config.response_flags)
    return lambda record: b"" if wanted.isdisjoint(record.flags.split(",")) else line(record)


def _json_value(text: str) -> Callable[[Record], str | int | None]:
    """One operator alone keeps its type: a number, or null for what is not there; all else is a string (Envoy, measured)."""
    make = compile_text(text)
    alone = _OPERATOR.fullmatch(text)
    name = None if alone is None else alone[1]
    if name in _NUMBERS:
        return lambda record: int(make(record))
    # That there are no flags is known, and Envoy writes it as "-".
    absent = None if name in (None, "RESPONSE_FLAGS") else _ABSENT

    def value(record: Record) -> str | None:
        found = make(record)
        return None if found == absent else found.decode(errors="replace")

    return value

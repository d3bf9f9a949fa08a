"""Access log formats with Envoy's command operators, compiled to functions.

https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage
"""

import json
import re
import time
from collections.abc import Callable
from operator import attrgetter

from mesh_api.config import AccessLog
from mesh_proxy.telemetry.record import Record

Operator = Callable[[Record], bytes]
_OPERATOR = re.compile(r"%(?:%|([A-Z_]+)(?:\(([^)]*)\))?(?::(\d+))?%)")
_ABSENT = b"-"


class FormatError(ValueError):
    """A format with an operator that is not known, or that is not used as it must be."""


def _start_time() -> Operator:
    """The formatted second is kept: requests come many to one."""
    second, text = -1, b""

    def stamp(record: Record) -> bytes:
        nonlocal second, text
        whole = int(record.started)
        if whole != second:
            second, text = whole, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)).encode()
        return b"%b.%03dZ" % (text, int((record.started - whole) * 1000))

    return stamp


def _port_less(address: bytes) -> bytes:
    return address.rpartition(b":")[0].strip(b"[]")


_SIMPLE: dict[str, Operator] = {
    "PROTOCOL": attrgetter("protocol"),
    "RESPONSE_CODE": lambda r: b"%d" % r.status,
    "RESPONSE_FLAGS": lambda r: r.flags.encode(),
    "RESPONSE_CODE_DETAILS": lambda r: r.details.encode(),
    "CONNECTION_TERMINATION_DETAILS": lambda r: r.termination.encode(),
    "UPSTREAM_TRANSPORT_FAILURE_REASON": lambda r: r.failure.encode(),
    "BYTES_RECEIVED": lambda r: b"%d" % r.bytes_received,
    "BYTES_SENT": lambda r: b"%d" % r.bytes_sent,
    "DURATION": lambda r: b"%d" % int((r.ended - r.began) * 1000),
    "UPSTREAM_HOST": attrgetter("upstream_host"),
    "UPSTREAM_CLUSTER": attrgetter("cluster"),
    "UPSTREAM_CLUSTER_RAW": attrgetter("cluster"),
    "UPSTREAM_LOCAL_ADDRESS": attrgetter("upstream_local"),
    "DOWNSTREAM_LOCAL_ADDRESS": attrgetter("downstream_local"),
    "DOWNSTREAM_REMOTE_ADDRESS": attrgetter("downstream_remote"),
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": lambda r: _port_less(r.downstream_remote),
    "REQUESTED_SERVER_NAME": attrgetter("sni"),
    "ROUTE_NAME": attrgetter("route"),
}
"""Operators without an argument; empty: there is nothing to say."""


_NUMBERS = frozenset({"RESPONSE_CODE", "BYTES_RECEIVED", "BYTES_SENT", "DURATION"})


def operator(name: str, argument: str, limit: int | None) -> Operator:
    """One operator. Raises :class:`FormatError`."""
    if name in ("REQ", "RESP"):
        found = _header(name == "REQ", argument)
    elif name == "START_TIME":
        found = _start_time()
    elif name in _SIMPLE:
        found = _SIMPLE[name]
    else:
        raise FormatError(f"the access log operator %{name}% is not supported")
    if bool(argument) is not (name in ("REQ", "RESP")) or (limit is not None and name in _NUMBERS):
        raise FormatError(f"the access log operator %{name}% is not supported in this form")
    if limit is None:
        return found
    return lambda record: (found(record) or _ABSENT)[:limit]


def _header(request: bool, argument: str) -> Operator:
    """The first of several fields that the message has."""
    first, *others = [_field(request, name.strip().lower().encode()) for name in argument.split("?")]
    if not others:
        return first

    def value(record: Record) -> bytes:
        found = first(record)
        for other in others:
            found = found or other(record)
        return found

    return value


def _field(request: bool, name: bytes) -> Operator:
    """One field of the request or of the response; empty when it is not there."""
    if not request:
        return lambda r: b"" if r.response is None else r.response.get(name) or b""
    if name == b":path":
        return attrgetter("path")
    if name == b"x-envoy-original-path":
        return attrgetter("original_path")
    if name == b":method":
        return lambda r: b"" if r.request is None else r.request.method
    if name in (b":authority", b"host"):
        return lambda r: b"" if r.request is None else r.request.host
    return lambda r: b"" if r.request is None else r.request.get(name) or b""


def compile_text(text: str) -> Operator:
    """A format as a function of a record. Raises :class:`FormatError`."""
    template: list[bytes] = []
    operators: list[Operator] = []
    end = 0
    for found in _OPERATOR.finditer(text):
        template.append(_constant(text, text[end : found.start()]))
        name, argument, limit = found.groups()
        if name is None:
            template.append(b"%%")
        else:
            template.append(b"%b")
            operators.append(operator(name, argument or "", int(limit) if limit else None))
        end = found.end()
    template.append(_constant(text, text[end:]))
    form, made = b"".join(template), tuple(operators)
    # One formatting of everything: the line is written for every request.
    return lambda record: form % tuple([get(record) or _ABSENT for get in made])


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

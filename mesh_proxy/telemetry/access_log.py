"""Access log formats with Envoy's command operators, compiled to functions.

https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage
"""

import json
import re
import time
from collections.abc import Callable
from typing import Any, Final

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


_SIMPLE: Final = {
    "PROTOCOL": "r.protocol",
    "RESPONSE_CODE": "r.status",
    "RESPONSE_FLAGS": "r.flags.encode()",
    "RESPONSE_CODE_DETAILS": "r.details.encode()",
    "CONNECTION_TERMINATION_DETAILS": "r.termination.encode()",
    "UPSTREAM_TRANSPORT_FAILURE_REASON": "r.failure.encode()",
    "BYTES_RECEIVED": "r.bytes_received",
    "BYTES_SENT": "r.bytes_sent",
    "DURATION": "int((r.ended - r.began) * 1000)",
    "UPSTREAM_HOST": "r.upstream_host",
    "UPSTREAM_CLUSTER": "r.cluster",
    "UPSTREAM_CLUSTER_RAW": "r.cluster",
    "UPSTREAM_LOCAL_ADDRESS": "r.upstream_local",
    "DOWNSTREAM_LOCAL_ADDRESS": "r.downstream_local",
    "DOWNSTREAM_REMOTE_ADDRESS": "r.downstream_remote",
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": "port_less(r.downstream_remote)",
    "REQUESTED_SERVER_NAME": "r.sni",
    "ROUTE_NAME": "r.route",
}
"""Operators without an argument, as expressions of a record ``r``; empty: there is nothing to say."""
_PSEUDO: Final = {
    b":path": "r.path",
    b"x-envoy-original-path": "r.original_path",
    b":method": 'b"" if q is None else q.method',
    b":authority": 'b"" if q is None else q.host',
    b"host": 'b"" if q is None else q.host',
}
"""Fields of a request that stand elsewhere than among its fields; ``q`` is its head."""
_NUMBERS: Final = frozenset({"RESPONSE_CODE", "BYTES_RECEIVED", "BYTES_SENT", "DURATION"})


def _expression(name: str, argument: str, limit: int | None) -> str:
    """One operator. Raises :class:`FormatError`."""
    if name in ("REQ", "RESP"):
        found = " or ".join(f"({_field(name == 'REQ', part)})" for part in argument.split("?"))
    elif name == "START_TIME":
        found = "start(r)"
    elif name in _SIMPLE:
        found = _SIMPLE[name]
    else:
        raise FormatError(f"the access log operator %{name}% is not supported")
    if bool(argument) is not (name in ("REQ", "RESP")) or (limit is not None and name in _NUMBERS):
        raise FormatError(f"the access log operator %{name}% is not supported in this form")
    if name in _NUMBERS:
        return found
    return f"(({found}) or absent)" + ("" if limit is None else f"[:{limit}]")


def _field(request: bool, text: str) -> str:
    """One field of the request or of the response; ``i`` and ``j`` are their fields by name."""
    name = text.strip().lower().encode()
    if request:
        return _PSEUDO.get(name) or f"i.get({name!r})"
    return f"j.get({name!r})"


_LINE: Final = """
def line(r):
    q = r.request
    i = nothing if q is None else q.index()
    p = r.response
    j = nothing if p is None else p.index()
    return {template!r} % ({values})
"""


def compile_text(text: str) -> Operator:
    """A format as a function of a record. Raises :class:`FormatError`.

    The function is written and read by Python itself: one expression with everything in it costs a third of a function for
    each operator, and it is run for every request. Nothing of the format gets into it but as a literal.
    """
    template: list[bytes] = []
    values: list[str] = []
    end = 0
    for found in _OPERATOR.finditer(text):
        template.append(_constant(text, text[end : found.start()]))
        name, argument, limit = found.groups()
        if name is None:
            template.append(b"%%")
        else:
            template.append(b"%d" if name in _NUMBERS else b"%b")
            values.append(_expression(name, argument or "", int(limit) if limit else None))
        end = found.end()
    template.append(_constant(text, text[end:]))
    source = _LINE.format(template=b"".join(template), values="".join(f"{value}, " for value in values))
    names: dict[str, Any] = {"absent": _ABSENT, "nothing": {}, "start": _start_time(), "port_less": _port_less}
    exec(source, names)  # noqa: S102 (our own text, see above)
    made: Operator = names["line"]
    return made


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

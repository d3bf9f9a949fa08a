"""The context of a trace, as requests carry it: W3C Trace Context and Zipkin's B3. Pure.

https://www.w3.org/TR/trace-context/ and https://github.com/openzipkin/b3-propagation
"""

import re
from typing import Final, NamedTuple

from mesh_proxy.protocol.http1 import Field, Head, field_of

TRACEPARENT: Final = b"traceparent"
TRACESTATE: Final = b"tracestate"
_PARENT: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?\Z")
_LENGTH: Final = 55
_TRACE_ID: Final = re.compile(rb"(?:[0-9a-fA-F]{16}|[0-9a-fA-F]{32})\Z")
_SPAN_ID: Final = re.compile(rb"[0-9a-fA-F]{16}\Z")
_SAMPLED: Final = {b"1": True, b"true": True, b"d": True, b"0": False, b"false": False}


class TraceContext(NamedTuple):
    """Identities in hexadecimal digits; ``parent`` is empty at the root. ``sampled`` ``None``: nobody decided yet; ids may be
    empty then, where only the decision travels."""

    trace_id: bytes
    span_id: bytes
    parent: bytes = b""
    sampled: bool | None = None
    single: bool = False
    """Of B3: it came in one header, and goes on so."""


def read_w3c(head: Head) -> TraceContext | None:
    """From ``traceparent``; ``None`` where there is none, or it is not in the right form."""
    value = head.get(TRACEPARENT)
    found = None if value is None else _PARENT.match(value)
    if found is None:
        return None
    version, trace_id, span_id, flags = found.groups()
    longer = version == b"00" and found.end() > _LENGTH  # a later version may have more
    if version == b"ff" or longer or not trace_id.strip(b"0") or not span_id.strip(b"0"):
        return None
    return TraceContext(trace_id, span_id, b"", bool(int(flags, 16) & 1))


def write_w3c(context: TraceContext) -> list[Field]:
    """``traceparent``; what systems add in ``tracestate`` goes on as it is."""
    trace_id = context.trace_id.rjust(32, b"0")
    return [field_of(TRACEPARENT, b"00-%b-%b-%b" % (trace_id, context.span_id, b"01" if context.sampled else b"00"))]


B3: Final = b"b3"
B3_TRACE: Final = b"x-b3-traceid"
B3_SPAN: Final = b"x-b3-spanid"
B3_PARENT: Final = b"x-b3-parentspanid"
B3_SAMPLED: Final = b"x-b3-sampled"
B3_FLAGS: Final = b"x-b3-flags"
B3_FIELDS: Final = (B3, B3_TRACE, B3_SPAN, B3_PARENT, B3_SAMPLED)


def read_b3(head: Head) -> TraceContext | None:
    """From the one header or from the several ones; ``None`` where there are none, or they are not in the right form."""
    single = head.get(B3)
    if single is not None:
        return _read_single(single)
    debug = head.get(B3_FLAGS) == b"1"
    sampled = True if debug else _SAMPLED.get(head.get(B3_SAMPLED) or b"")
    trace_id, span_id, parent = head.get(B3_TRACE), head.get(B3_SPAN), head.get(B3_PARENT) or b""
    if trace_id is None or span_id is None:
        return None if sampled is None else TraceContext(b"", b"", b"", sampled)
    return _checked(trace_id, span_id, parent, sampled)


def _read_single(value: bytes) -> TraceContext | None:
    parts = value.split(b"-")
    if len(parts) == 1:
        sampled = _SAMPLED.get(parts[0])
        return None if sampled is None else TraceContext(b"", b"", b"", sampled, True)
    decision = parts[2] if len(parts) > 2 else b""
    return _checked(parts[0], parts[1], parts[3] if len(parts) > 3 else b"", _SAMPLED.get(decision), True)


def _checked(
    trace_id: bytes, span_id: bytes, parent: bytes, sampled: bool | None, single: bool = False
) -> TraceContext | None:
    if _TRACE_ID.match(trace_id) is None or _SPAN_ID.match(span_id) is None:
        return None
    if parent and _SPAN_ID.match(parent) is None:
        return None
    return TraceContext(trace_id.lower(), span_id.lower(), parent.lower(), sampled, single)


def write_b3(context: TraceContext) -> list[Field]:
    """The several headers, or the one where it came so (Envoy)."""
    if context.single:
        parts = [context.trace_id, context.span_id, b"1" if context.sampled else b"0"]
        return [field_of(B3, b"-".join([*parts, context.parent] if context.parent else parts))]
    fields = [field_of(B3_TRACE, context.trace_id), field_of(B3_SPAN, context.span_id)]
    if context.parent:
        fields.append(field_of(B3_PARENT, context.parent))
    fields.append(field_of(B3_SAMPLED, b"1" if context.sampled else b"0"))
    return fields

"""Which records a log tells of: conditions, compiled to expressions as the lines are (Envoy ``AccessLogFilter``)."""

import random
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any, Final

from mesh_api.config import AnyAccessLog
from mesh_api.config import access_log_filters as c
from mesh_proxy.protocol.http1 import Head
from mesh_proxy.protocol.numbers import whole
from mesh_proxy.routing.matchers import HeaderTest
from mesh_proxy.telemetry.access_log import FormatError, function
from mesh_proxy.telemetry.cel import compile_expression
from mesh_proxy.telemetry.operators import HTTP_TO_GRPC
from mesh_proxy.telemetry.record import Record

by_chance: Final = random.random
Condition = Callable[[Record], bool]
_MILLION: Final = 1_000_000
_MOST_STATUS: Final = 2**31 - 1
_COMPARED: Final = {"EQ": "==", "GE": ">=", "LE": "<=", "NE": "!="}


def condition_of(config: AnyAccessLog) -> Condition | None:
    """All conditions of a log; ``None``: it tells of everything. Raises :class:`FormatError`."""
    parts: list[c.LogFilter] = []
    if config.response_flags:
        parts.append(c.ResponseFlagFilter(config.response_flags))
    if config.expression:
        parts.append(c.ExpressionFilter(config.expression))
    if config.filter is not None:
        parts.append(config.filter)
    if not parts:
        return None
    made = _Made()
    source = " and ".join(made.source(part) for part in parts)
    condition: Condition = function(source, made.names)
    return condition


class _Made:
    """Expressions with the objects that they use."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"sampled": sampled, "by_chance": by_chance, "called": called}
        self._numbers: Iterator[int] = count()

    def source(self, part: c.LogFilter) -> str:
        """The expression of a condition. Raises :class:`FormatError`."""
        make = _SOURCES.get(type(part))
        if make is None:
            raise FormatError(f"{type(part).__name__} of an access log is not supported yet")
        return f"({make(self, part)})"

    def bind(self, value: Any) -> str:
        """A name for an object."""
        name = f"o{next(self._numbers)}"
        self.names[name] = value
        return name


def sampled(fields: dict[bytes, bytes], parts: int) -> bool:
    """Whether a request is one of so many of a million, by its id; one without an id is as chance has it."""
    try:
        number = int(fields.get(b"x-request-id", b"")[:8], 16)
    except ValueError:
        return by_chance() * _MILLION < parts
    return number % _MILLION < parts


def called(record: Record, statuses: frozenset[int]) -> bool:
    """Whether the status of a call of gRPC is one of these; of other requests, what theirs would be (Envoy)."""
    found = next((field.value for field in record.trailers if field.name == b"grpc-status"), None)
    if found is None and record.response is not None:
        found = record.response.get(b"grpc-status")
    if found is None:
        return HTTP_TO_GRPC.get(record.status, 2) in statuses
    return whole(found, _MOST_STATUS) in statuses


def holds(test: HeaderTest, head: Head | None) -> bool:
    """A condition on a head; on none, nothing holds."""
    return head is not None and test.holds(head)


def _compared(part: c.StatusCodeFilter | c.DurationFilter, source: str) -> str:
    if part.operation not in _COMPARED:
        raise FormatError(f"the operation {part.operation} of an access log's filter is not supported")
    return f"{source} {_COMPARED[part.operation]} {int(part.value)}"


def _flags(made: _Made, part: c.ResponseFlagFilter) -> str:
    if not part.flags:
        return 'r.flags != ""'
    return f'not {made.bind(frozenset(part.flags))}.isdisjoint(r.flags.split(","))'


def _header(made: _Made, part: c.HeaderFilter) -> str:
    made.names["holds"] = holds
    return f"holds({made.bind(HeaderTest(part.header))}, q)"


def _sample(made: _Made, part: c.SampleFilter) -> str:
    return f"by_chance() * {_MILLION} < {part.parts}" if part.independent else f"sampled(i, {part.parts})"


def _joined(word: str) -> Callable[[_Made, Any], str]:
    return lambda made, part: f" {word} ".join(map(made.source, part.filters))


def _not(part: c.GrpcStatusFilter | c.LogTypeFilter, source: str) -> str:
    return f"not {source}" if part.exclude else source


_SOURCES: Final[Mapping[type, Callable[[_Made, Any], str]]] = {
    c.StatusCodeFilter: lambda made, part: _compared(part, "r.status"),
    c.DurationFilter: lambda made, part: _compared(part, "int((r.ended - r.began) * 1000)"),
    c.ResponseFlagFilter: _flags,
    c.HeaderFilter: _header,
    c.GrpcStatusFilter: lambda made, part: _not(part, f"called(r, {made.bind(frozenset(part.statuses))})"),
    c.LogTypeFilter: lambda made, part: _not(
        part, f"(r.kind in {made.bind(frozenset(name.encode() for name in part.types))})"
    ),
    c.SampleFilter: _sample,
    c.NotHealthCheckFilter: lambda made, part: "True",  # checks of the proxy itself are answered elsewhere
    c.TraceableFilter: lambda made, part: "r.traced",
    c.ExpressionFilter: lambda made, part: f"{made.bind(compile_expression(part.expression))}(r)",
    c.AllOf: _joined("and"),
    c.AnyOf: _joined("or"),
}

"""Durations as Go and protobuf write them: ``15s``, ``1.5s``, ``250ms``, ``1h30m``."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(h|ms|m|s|us|µs|ns)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
LONGEST = timedelta(seconds=9_223_372_036)
"""Go's longest duration, some 292 years: what Istio cannot read is not written either."""


def parse_duration(value: object) -> timedelta:
    """A duration from its text (or a ``timedelta`` as it is). Raises :class:`ValueError` that shows what is allowed."""
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise ValueError(f"a duration is text such as 15s or 250ms, not {value!r}")
    parts = _PART.findall(value)
    if not parts or "".join(number + unit for number, unit in parts) != value:
        raise ValueError(f"{value!r} is not a duration; write for example 15s, 250ms or 1h30m")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if seconds > LONGEST.total_seconds():
        raise ValueError(f"{value!r} is longer than 292 years, more than a duration can hold")
    return timedelta(seconds=seconds)


def format_duration(value: timedelta) -> str:
    """The shortest text in seconds, or in milliseconds below one second."""
    seconds = value.total_seconds()
    if seconds and abs(seconds) < 1:
        return f"{seconds * 1000:.6f}".rstrip("0").rstrip(".") + "ms"
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"


Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(format_duration, return_type=str)]
"""A duration; fields that Istio wants to be at least 1 ms check that where they stand."""


def _at_least_a_millisecond(value: object) -> timedelta:
    duration = parse_duration(value)
    if duration < timedelta(milliseconds=1):
        raise ValueError(f"{value!r} is too short; a duration must be at least 1ms")
    return duration


PositiveDuration = Annotated[
    timedelta, BeforeValidator(_at_least_a_millisecond), PlainSerializer(format_duration, return_type=str)
]
"""A duration of at least 1 ms, as Istio's webhook asks for."""

Span = Annotated[
    timedelta | str, BeforeValidator(_at_least_a_millisecond), PlainSerializer(format_duration, return_type=str)
]
"""As :data:`PositiveDuration`, for what people write in Python: text or a ``timedelta`` in, always a ``timedelta`` kept."""

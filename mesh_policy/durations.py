"""Durations as Go and protobuf write them: ``15s``, ``1.5s``, ``250ms``, ``1h30m``."""

import re
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, PlainSerializer

_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(h|ms|m|s|us|µs|μs|ns)")
_NANOSECONDS = {"h": 3_600_000_000_000, "m": 60_000_000_000, "s": 1_000_000_000, "ms": 1_000_000}
_NANOSECONDS |= {"us": 1000, "µs": 1000, "μs": 1000, "ns": 1}
MICROSECOND = timedelta(microseconds=1)
MILLISECOND = timedelta(milliseconds=1)
SECOND = timedelta(seconds=1)
LONGEST = timedelta(seconds=9_223_372_036)
"""Go's longest duration, some 292 years: what Istio cannot read is not written either."""


def parse_duration(value: object) -> timedelta:
    """A duration from its text (or a ``timedelta`` as it is). Raises :class:`ValueError` that shows what is allowed.

    Microseconds are the smallest part that is kept, and what is less is cut off; nothing in the mesh is told in less.
    """
    if isinstance(value, timedelta):
        return value
    nanoseconds = _nanoseconds(value)
    microseconds = timedelta(microseconds=abs(nanoseconds) // 1000)
    return -microseconds if nanoseconds < 0 else microseconds


def _nanoseconds(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError(f"a duration is text such as 15s or 250ms, not {value!r}")
    return _read(value)


@lru_cache(maxsize=1024)  # a mesh has thousands of durations, and few different ones
def _read(value: str) -> int:
    text = value[1:] if value[:1] in ("+", "-") else value
    if text == "0":
        return 0
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{value!r} is not a duration; write for example 15s, 250ms or 1h30m")
    nanoseconds = sum(int(Decimal(number) * _NANOSECONDS[unit]) for number, unit in parts)
    if nanoseconds > LONGEST // MICROSECOND * 1000:
        raise ValueError(f"{value!r} is longer than 292 years, more than a duration can hold")
    return -nanoseconds if value.startswith("-") else nanoseconds


def format_duration(value: timedelta) -> str:
    """The shortest text in seconds, or in milliseconds below one second; exact, whatever its length."""
    sign, rest = ("-", -value) if value < timedelta() else ("", value)
    unit, name = (MILLISECOND, "ms") if timedelta() < rest < SECOND else (SECOND, "s")
    whole, part = divmod(rest, unit)
    digits = len(str(unit // MICROSECOND)) - 1
    fraction = f".{part // MICROSECOND:0{digits}}".rstrip("0").rstrip(".")
    return f"{sign}{whole}{fraction}{name}"


def _whole_milliseconds(value: object) -> timedelta:
    duration = parse_duration(value)
    rest = duration % MILLISECOND if isinstance(value, timedelta) else _nanoseconds(value) % 1_000_000
    if rest and abs(duration) >= MILLISECOND:
        raise ValueError(f"{value!r}: Istio takes whole milliseconds; round it")
    return duration


def _at_least_a_millisecond(value: timedelta) -> timedelta:
    if value < MILLISECOND:
        raise ValueError(f"{format_duration(value)!r} is too short; a duration must be at least 1ms")
    return value


def _off_or_positive(value: timedelta) -> timedelta:
    return value if abs(value) < MILLISECOND else _at_least_a_millisecond(value)


_TEXT = PlainSerializer(format_duration, return_type=str)
_READ = BeforeValidator(parse_duration)
_READ_MILLISECONDS = BeforeValidator(_whole_milliseconds)
_POSITIVE = AfterValidator(_at_least_a_millisecond)

Duration = Annotated[timedelta, _READ, _TEXT]
"""Any duration, also 0 and below."""
AtLeastMillisecond = Annotated[timedelta, _READ, _POSITIVE, _TEXT]
"""A duration of at least 1 ms: what the schemas ask for."""
PositiveDuration = Annotated[timedelta, _READ_MILLISECONDS, _POSITIVE, _TEXT]
"""A duration of at least 1 ms, in whole milliseconds, as Istio's webhook asks for."""
OffOrPositive = Annotated[timedelta, _READ_MILLISECONDS, AfterValidator(_off_or_positive), _TEXT]
"""As :data:`PositiveDuration`, or 0, which switches the limit off (Istio reads anything below 1 ms as 0)."""
Span = Annotated[timedelta | str, _READ_MILLISECONDS, _POSITIVE, _TEXT]
"""As :data:`PositiveDuration`, for what people write in Python: text or a ``timedelta`` in, always a ``timedelta`` kept."""

"""Durations in the Gateway API's form (GEP-2257): one to four whole numbers with a unit, ``1h30m`` or ``500ms``."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

PATTERN = "^([0-9]{1,5}(h|m|s|ms)){1,4}$"
_WHOLE = re.compile(r"([0-9]{1,5}(h|m|s|ms)){1,4}")
_PART = re.compile(r"([0-9]{1,5})(h|ms|m|s)")
_MILLISECONDS = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}


class WrittenDuration(timedelta):
    """A duration that remembers how it was written, so that a document that was read is written as it was."""

    text: str

    @classmethod
    def parse(cls, text: str) -> "WrittenDuration":
        """From its text. Raises :class:`ValueError` that shows what is allowed."""
        if not _WHOLE.fullmatch(text):
            raise ValueError(
                f"{text!r} is not a duration of the Gateway API; write one to four whole numbers of at most 5 digits "
                "with h, m, s or ms, such as 10s, 500ms or 1h30m"
            )
        duration = cls(milliseconds=sum(int(number) * _MILLISECONDS[unit] for number, unit in _PART.findall(text)))
        duration.text = text
        return duration

    def __reduce__(self) -> tuple[object, ...]:
        """Copies remember it too."""
        return WrittenDuration.parse, (self.text,)


def format_duration(value: timedelta) -> str:
    """The text it was read from, or the shortest one. Raises :class:`ValueError` for what has none."""
    if isinstance(value, WrittenDuration):
        return value.text
    rest, below = divmod(value, timedelta(milliseconds=1))
    if below or rest < 0:
        raise ValueError(f"{value} is not a duration of the Gateway API; whole milliseconds from 0 are allowed")
    parts = []
    for unit, size in _MILLISECONDS.items():
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _parse(value: object) -> timedelta:
    if isinstance(value, WrittenDuration):
        return value
    if isinstance(value, timedelta):
        return WrittenDuration.parse(format_duration(value))
    if not isinstance(value, str):
        raise ValueError(f"a duration is text such as 10s or 500ms, not {value!r}")
    return WrittenDuration.parse(value)


GatewayDuration = Annotated[
    timedelta,
    BeforeValidator(_parse),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": PATTERN}),
]
"""A duration; where it is a timeout, 0 stands for none."""

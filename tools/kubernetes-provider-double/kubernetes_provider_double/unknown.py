"""What a preview does not know yet, as a value among plain ones. Pure."""

from __future__ import annotations

from typing import Any, Final


class Unknown:
    """The class of :data:`UNKNOWN`."""

    def __repr__(self) -> str:
        return "unknown"


UNKNOWN: Final = Unknown()


def has_unknown(value: Any) -> bool:
    """Whether something in it is not known yet."""
    if isinstance(value, dict):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in value)
    return value is UNKNOWN

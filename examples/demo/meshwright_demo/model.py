"""Words that several services share."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum


class Size(StrEnum):
    """Sizes of an item."""

    S = "S"
    M = "M"
    L = "L"
    XL = "XL"


def utc(moment: datetime) -> str:
    """A moment as the API writes it: ISO 8601, UTC, whole seconds."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

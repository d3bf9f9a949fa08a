"""A condition of an object's status, as what it says alone: times and generations are added where it is written."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition without its time. ``reason`` is a word for programs, ``message`` a sentence for people."""

    type: str
    holds: bool
    reason: str
    message: str

"""Limits of connections from outside, in a filter chain before what serves them (Envoy ``filters.network``)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConnectionRateLimit:
    """How many connections may begin (``local_ratelimit``): a bucket of ``most`` tokens, to which ``fill`` are added every
    ``interval`` seconds. A connection that finds none is closed. ``name`` is for statistics."""

    name: str
    most: int
    fill: int = 1
    interval: float = 1.0
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class ConnectionLimit:
    """How many connections there may be at once (``connection_limit``). One that is too many is closed, after ``delay``
    seconds where that is set, in which nothing is read. ``name`` is for statistics."""

    name: str
    most: int
    delay: float | None = None
    enabled: bool = True


ConnectionGate = ConnectionRateLimit | ConnectionLimit
"""What counts connections."""

"""What a worker has for services of telemetry, until its supervisor has taken it: bounded, so that a slow service costs
entries, and neither memory nor requests."""

from collections.abc import Callable
from typing import Any, Final

LIMIT: Final = 4096
"""Entries that may wait; what comes then is dropped and counted."""
BATCH: Final = 512
"""So many are handed over without waiting for the second to be over."""
Entry = tuple[Any, ...]


class Outbox:
    """Entries by their destination, which is a part of a configuration."""

    __slots__ = ("_count", "_waiting", "added", "dropped", "limit", "wake")

    def __init__(self, limit: int = LIMIT) -> None:
        self._waiting: dict[object, list[Entry]] = {}
        self._count = 0
        self.limit = limit
        self.added = 0
        self.wake: Callable[[], None] | None = None
        """To be called when there is a batch."""
        self.dropped = 0

    def add(self, destination: object, entry: Entry) -> None:
        """One more entry, if there is room."""
        if self._count >= self.limit:
            self.dropped += 1
            return
        self._count += 1
        self.added += 1
        waiting = self._waiting.get(destination)
        if waiting is None:
            waiting = self._waiting[destination] = []
        waiting.append(entry)
        if self._count == BATCH and self.wake is not None:
            self.wake()

    def take(self) -> list[tuple[object, tuple[Entry, ...]]]:
        """Everything that waits, by destination."""
        if not self._count:
            return []
        taken = [(destination, tuple(entries)) for destination, entries in self._waiting.items() if entries]
        self._waiting.clear()
        self._count = 0
        return taken

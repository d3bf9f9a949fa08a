"""What the proxy's processes take of the machine, and its version as a number: Envoy's ``server.*``."""

import os
from collections.abc import Iterable

_NAMES = ("server.memory_physical_size", "server.memory_allocated", "server.memory_heap_size")


def used_by(processes: Iterable[int]) -> dict[str, int]:
    """Bytes of memory of these processes together, by Envoy's names: what is in memory, what of it is no file's and nobody
    else's, and what has been asked for. A process that is gone has none."""
    found = [_pages(process) for process in processes]
    size = os.sysconf("SC_PAGE_SIZE")
    return {name: size * sum(pages[place] for pages in found) for place, name in enumerate(_NAMES)}


def _pages(process: int) -> tuple[int, int, int]:
    """From ``/proc/PID/statm`` (proc(5))."""
    try:
        with open(f"/proc/{process}/statm") as file:
            _, resident, shared, _, _, data, *_ = map(int, file.read().split())
    except (OSError, ValueError):
        return 0, 0, 0
    return resident, resident - shared, data


def version_number(version: str) -> int:
    """``1.2.3`` as 10203: later versions are larger numbers. What is no number counts as 0."""
    parts = [int(part) if part.isdigit() else 0 for part in [*version.split("."), "0", "0"][:3]]
    return (parts[0] * 100 + parts[1]) * 100 + parts[2]

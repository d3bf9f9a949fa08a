"""How much of the traffic each priority gets: arithmetic of whole percents, as Envoy's ``LoadBalancerBase`` has it.

Lists are by priority, from 0 without gaps. A load is percent of the traffic; all of them together are 100.
"""

from collections.abc import Sequence


def availability(factor: int, healthy: int, total: int) -> int:
    """Percent of the load that a priority can take: its share of healthy hosts, and ``factor`` percent of that at best."""
    return min(100, factor * healthy // total) if total else 0


def loads(health: Sequence[int], degraded: Sequence[int]) -> tuple[list[int], list[int]]:
    """Loads of healthy and of degraded hosts: what is available, first priorities first, healthy hosts before degraded
    ones; what rounding leaves goes to the first that is available. All 0 where nothing is."""
    total = normalised(health, degraded)
    if not total:
        return [0] * len(health), [0] * len(degraded)
    healthy_loads, left = _distribute(health, 100, total)
    degraded_loads, left = _distribute(degraded, left, total)
    if left:
        first = next((place for place, value in enumerate(health) if value), -1)
        if first >= 0:
            healthy_loads[first] += left
        else:
            degraded_loads[next(place for place, value in enumerate(degraded) if value)] += left
    return healthy_loads, degraded_loads


def normalised(health: Sequence[int], degraded: Sequence[int]) -> int:
    """The sum of what is available, 100 at most."""
    return min(100, sum(health) + sum(degraded))


def _distribute(available: Sequence[int], load: int, total: int) -> tuple[list[int], int]:
    made = []
    for value in available:
        part = min(load, value * 100 // total)
        made.append(part)
        load -= part
    return made, load


def in_panic(threshold: int, healthy: int, degraded: int, total: int) -> bool:
    """Whether so few hosts of a priority are left that all of them count."""
    return (100.0 * healthy / total + 100.0 * degraded / total if total else 0.0) < threshold


def loads_in_total_panic(sizes: Sequence[int]) -> list[int]:
    """Loads where every priority is in panic: by how many hosts it has, healthy or not."""
    total = sum(sizes)
    if not total:
        return [100, *[0] * (len(sizes) - 1)]
    made = [100 * size // total for size in sizes]
    made[next(place for place, size in enumerate(sizes) if size)] += 100 - sum(made)
    return made


def loads_without(
    health: Sequence[int], degraded: Sequence[int], excluded: set[int]
) -> tuple[list[int], list[int]] | None:
    """Loads when some priorities are left out, as for a retry (Envoy ``previous_priorities``); ``None``: nothing is
    available then."""
    well = [0 if place in excluded else value for place, value in enumerate(health)]
    less = [0 if place in excluded else value for place, value in enumerate(degraded)]
    total = normalised(well, less)
    if not total:
        return None
    made = ([0] * len(well), [0] * len(less))
    left = 100
    while left:  # what rounding leaves is handed out the same way
        for values, into in ((well, made[0]), (less, made[1])):
            for place, value in enumerate(values):
                part = min(left, value * 100 // total)
                into[place] += part
                left -= part
    return made


def choose(point: int, healthy: Sequence[int], degraded: Sequence[int]) -> int:
    """The priority for ``point`` in 1..100; for its degraded hosts, one's complement of it."""
    reached = 0
    for place, load in enumerate(healthy):
        reached += load
        if point <= reached:
            return place
    for place, load in enumerate(degraded):
        reached += load
        if point <= reached:
            return ~place
    return 0

"""What is to be made: names of images, of groups of them, and of the programs of nodes."""

from collections.abc import Sequence

from stacks.images.programs import PREVIOUS_SERIES, named
from stacks.images.table import CLUSTER, MESH, PREVIOUS, WORKLOADS

NODES = "nodes"
"""Stands for the programs of nodes, as an image's name does for an image."""
PREVIOUS_NODES = named(NODES, PREVIOUS_SERIES)
"""The same of the minor version before."""
GROUPS: dict[str, tuple[str, ...]] = {
    "mesh": tuple(plan.name for plan in MESH),
    "workloads": tuple(plan.name for plan in WORKLOADS),
    "kubernetes": (NODES, *(plan.name for plan in CLUSTER)),
    named("kubernetes", PREVIOUS_SERIES): (PREVIOUS_NODES, *(plan.name for plan in PREVIOUS)),
}
ALL: tuple[str, ...] = (*GROUPS["kubernetes"], *GROUPS["mesh"], *GROUPS["workloads"])
"""What is made where nobody says what, in that order: a cluster comes before the mesh in it, and that before workloads."""
NAMES: tuple[str, ...] = (*ALL, *GROUPS[named("kubernetes", PREVIOUS_SERIES)])
"""Whatever can be asked for."""


class UnknownNameError(ValueError):
    """There is nothing of that name; the message says what there is."""


def select(asked: Sequence[str]) -> tuple[str, ...]:
    """Which are meant, each once, in the order of :data:`NAMES`; without any, :data:`ALL`.

    Raises :class:`UnknownNameError`.
    """
    for name in asked:
        if name not in NAMES and name not in GROUPS:
            raise UnknownNameError(
                f"there is no image {name!r}; there are {', '.join(sorted(NAMES))}, and groups {', '.join(GROUPS)}"
            )
    wanted = {member for name in asked for member in GROUPS.get(name, (name,))}
    return tuple(name for name in NAMES if name in (wanted if asked else ALL))

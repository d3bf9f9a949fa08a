"""What is to be made: names of images, of groups of them, and of the programs of nodes."""

from collections.abc import Sequence

from stacks.images.table import CLUSTER, MESH, WORKLOADS

NODES = "nodes"
"""Stands for the programs of nodes, as an image's name does for an image."""
GROUPS: dict[str, tuple[str, ...]] = {
    "mesh": tuple(plan.name for plan in MESH),
    "workloads": tuple(plan.name for plan in WORKLOADS),
    "kubernetes": (NODES, *(plan.name for plan in CLUSTER)),
}
NAMES: tuple[str, ...] = (*GROUPS["kubernetes"], *GROUPS["mesh"], *GROUPS["workloads"])
"""All of them, in the order in which they are made: a cluster is brought up before there is a mesh in it, with workloads."""


class UnknownNameError(ValueError):
    """There is nothing of that name; the message says what there is."""


def select(asked: Sequence[str]) -> tuple[str, ...]:
    """Which are meant, each once, in the order of :data:`NAMES`; without any, all. Raises :class:`UnknownNameError`."""
    for name in asked:
        if name not in NAMES and name not in GROUPS:
            raise UnknownNameError(
                f"there is no image {name!r}; there are {', '.join(sorted(NAMES))}, and groups {', '.join(GROUPS)}"
            )
    wanted = {member for name in asked for member in GROUPS.get(name, (name,))}
    return tuple(name for name in NAMES if not asked or name in wanted)

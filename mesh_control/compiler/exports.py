"""``exportTo``: from which namespaces an object is seen."""

from collections.abc import Collection
from enum import Enum

PUBLIC, PRIVATE, NOBODY = "*", ".", "~"


class Reach(Enum):
    """How far an object that a namespace sees is seen besides; those that are seen least come first (Istio)."""

    ITS_OWN = 0
    """It stands in the namespace, and is not for all."""
    SOME = 1
    """It is exported to the namespace by name."""
    EVERYWHERE = 2


def exported(export_to: Collection[str] | None, owner: str, namespace: str) -> bool:
    """Whether an object of ``owner`` reaches a namespace: ``*`` (the default) all, ``.`` its own, ``~`` none."""
    if not export_to or PUBLIC in export_to:
        return True
    if NOBODY in export_to:
        return False
    return namespace in export_to or (PRIVATE in export_to and owner == namespace)


def reach(export_to: Collection[str] | None, owner: str, namespace: str) -> Reach:
    """How far an object of ``owner`` that the namespace sees is seen."""
    if not export_to or PUBLIC in export_to:
        return Reach.EVERYWHERE
    return Reach.ITS_OWN if owner == namespace else Reach.SOME

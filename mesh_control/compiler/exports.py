"""``exportTo``: from which namespaces an object is seen."""

from collections.abc import Collection, Mapping
from enum import Enum

from mesh_control.services import Service
from mesh_control.world import World
from mesh_policy.mesh_config.traffic import ServiceEntryVisibility

PUBLIC, PRIVATE, NOBODY = "*", ".", "~"


class Reach(Enum):
    """How far an object that a namespace sees is seen besides; those that are seen least come first (Istio)."""

    ITS_OWN = 0
    """It stands in the namespace, and is not for all."""
    SOME = 1
    """It is exported to the namespace by name."""
    EVERYWHERE = 2


def of_service(world: World, service: Service) -> Collection[str]:
    """From which namespaces a service is seen: as it says, else the mesh; of a ServiceEntry no more than the mesh lets it
    (``serviceEntryVisibility``), where that holds for sidecars (Istio)."""
    said = service.export_to or world.mesh.default_service_export_to
    rules = world.mesh.service_entry_visibility
    if (
        rules is None
        or not rules.apply_to_sidecars
        or service.of_kubernetes
        or service.name
        or tuple(said) == (NOBODY,)
    ):
        return said
    allowed = _allowed(rules, world.surroundings.namespaces.get(service.namespace, {}))
    if allowed == "NONE":
        return (NOBODY,)
    if allowed == "NAMESPACE":
        near = not said or not {PUBLIC, PRIVATE, service.namespace}.isdisjoint(said)
        return (PRIVATE,) if near else (NOBODY,)
    return said


def _allowed(rules: ServiceEntryVisibility, labels: Mapping[str, str]) -> str:
    for policy in rules.policies:
        selectors = [rule.namespace_selector for rule in policy.matching_rules]
        if all(selector is not None and selector.holds(labels) for selector in selectors):
            return policy.visibility
    return rules.default_visibility


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

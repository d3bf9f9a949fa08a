"""What replicas compare to know that they have read the same policies."""

import random
from typing import Any

from mesh_control.sources.kubernetes.mirror import Mirror
from mesh_control.sources.kubernetes.resources import CORE, Collection
from mesh_control.sources.kubernetes.versions import Versions

RULES = Collection("networking.istio.io", "v1", "destinationrules", "DestinationRule")
SERVICES = next(place for place in CORE if place.kind == "Service")


def mirror(place: Collection, *values: Any) -> Mirror:
    made = Mirror(place, dict, rng=random.Random(1))
    made.reflector.on_page(values, "1", "")
    made.take()
    return made


def rule(generation: int, version: str = "1", uid: str = "u") -> Any:
    metadata = {"name": "a", "namespace": "b", "uid": uid, "generation": generation, "resourceVersion": version}
    return {"metadata": metadata}


def of(*values: Any, services: int = 0) -> str:
    beside = [{"metadata": {"name": f"s{n}", "namespace": "b", "resourceVersion": "1"}} for n in range(services)]
    return Versions().of({RULES: mirror(RULES, *values), SERVICES: mirror(SERVICES, *beside)})


def test_it_is_another_one_when_a_policy_is() -> None:
    assert of(rule(1)) != of(rule(2))
    assert of(rule(1)) != of(rule(1, uid="another"))
    assert of(rule(1)) != of()


def test_neither_a_status_nor_a_service_makes_another_one() -> None:
    assert of(rule(1, "1")) == of(rule(1, "9"), services=3)
    assert of() == Versions().of({}), "a kind without objects is as one that is not installed"


def test_what_is_remembered_goes_with_a_change() -> None:
    versions, known = Versions(), mirror(RULES, rule(1))
    before = versions.of({RULES: known})
    assert versions.of({RULES: known}) == before
    known.reflector.on_page([rule(2, "2")], "2", "")
    known.take()
    assert versions.of({RULES: known}) == of(rule(2))

"""Who sees a service: as it says, and as the mesh lets it."""

from collections.abc import Collection

import pytest

from mesh_control.compiler.exports import of_service
from mesh_control.gateway_api import Surroundings
from mesh_control.services import Service
from mesh_control.world import World
from mesh_policy.mesh_config import read_mesh_config

MESH = """
serviceEntryVisibility:
  applyToSidecars: true
  defaultVisibility: NAMESPACE
  policies:
  - {visibility: NONE, matchingRules: [{namespaceSelector: {matchLabels: {kind: hidden}}}]}
  - {visibility: PUBLIC, matchingRules: [{namespaceSelector: {matchExpressions: [{key: kind, operator: Exists}]}}]}
"""
WORLD = World.of(
    mesh=read_mesh_config(MESH),
    surroundings=Surroundings(namespaces={"hidden": {"kind": "hidden"}, "open": {"kind": "open"}}),
)


@pytest.mark.parametrize(
    ("service", "seen"),
    [
        (Service("a", "open", (), export_to=("other",)), ("other",)),
        (Service("a", "default", (), export_to=()), (".",)),
        (Service("a", "default", (), export_to=("*",)), (".",)),
        (Service("a", "default", (), export_to=("other",)), ("~",)),
        (Service("a", "hidden", (), export_to=("*",)), ("~",)),
        (Service("a", "open", (), export_to=("~",)), ("~",)),
        (Service("a", "hidden", (), export_to=("*",), name="a"), ("*",)),
    ],
    ids=["as it says", "default", "narrowed", "nothing left", "hidden", "asked for", "no ServiceEntry"],
)
def test_no_further_than_the_mesh_lets_it(service: Service, seen: Collection[str]) -> None:
    assert tuple(of_service(WORLD, service)) == seen

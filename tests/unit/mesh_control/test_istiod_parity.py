"""The same world, compiled by a real istiod and by us, compared as protobuf JSON.

The dumps are data kept beside the project; without them there is nothing to test here. Other worlds are compared with an
istiod that is asked (``tests/integration/mesh_control/test_against_istiod.py``).
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mesh_api.node import Node
from mesh_api.xds.json import resources_to_json
from mesh_cli.compile import SECTIONS
from mesh_control.compiler import compile_proxy
from mesh_control.proxies import proxy_of
from mesh_policy.mesh_config import read_mesh_config
from mesh_simulation import Mesh
from tests.support.xds_differences import differences

DUMPS = Path(__file__).parents[4] / "shared" / "istiod-dumps"
SCENARIOS = sorted(folder.name for folder in DUMPS.glob("*/") if folder.is_dir()) if DUMPS.is_dir() else []

NODES = {
    "client": Node(
        "sidecar~127.0.0.1~client-1.default~default.svc.cluster.local", metadata={"LABELS": {"app": "client"}}
    ),
    "server": Node(
        "sidecar~127.0.0.11~reviews-v1.default~default.svc.cluster.local",
        metadata={"LABELS": {"app": "reviews", "version": "v1"}},
    ),
    "gateway": Node(
        "router~127.0.0.99~istio-ingressgateway-1.istio-system~istio-system.svc.cluster.local",
        metadata={"LABELS": {"istio": "ingressgateway"}},
    ),
}
CASES = [(scenario, node) for scenario in SCENARIOS for node in NODES]

NOT_YET: Mapping[str, tuple[str, ...]] = {}
"""Scenario to the paths of what is not compiled as istiod does yet."""

pytestmark = pytest.mark.skipif(not CASES, reason="the dumps of a real istiod are not here")


def dumped(folder: Path) -> dict[str, list[dict[str, Any]]]:
    found = {section: json.loads((folder / f"{section}.json").read_text(encoding="utf-8")) for section in SECTIONS}
    for resources in found.values():
        for resource in resources:
            resource.pop("@type", None)
    return found


@pytest.mark.parametrize(("scenario", "node"), CASES, ids=[f"{s}-{n}" for s, n in CASES])
def test_means_the_same(scenario: str, node: str) -> None:
    settings = read_mesh_config((DUMPS / "mesh.yaml").read_text(encoding="utf-8"))
    config = compile_proxy(Mesh.load(DUMPS / scenario / "input", mesh_config=settings).world, proxy_of(NODES[node]))
    assert config.missing() == ()
    made = resources_to_json(config)
    ours = {service: made[section] for service, section in SECTIONS.items()}
    accepted = NOT_YET.get(scenario, ())
    found = differences(dumped(DUMPS / scenario / node), ours)
    assert "\n".join(line for line in found if not any(re.search(p, line.partition("\n")[0]) for p in accepted)) == ""

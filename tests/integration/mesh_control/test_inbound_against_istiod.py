"""What is sent to applications, compiled by a real istiod and by us, in random worlds: a seed always gives one world.

Compared are the listeners for what comes in, and the clusters behind them.
"""

from typing import Any

import pytest

from tests.support import random_inbound
from tests.support.istio_compiler import Istiod
from tests.support.istiod_cases import Case
from tests.support.xds_differences import differences

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the programs' first build

WORLDS, OF_ONE_MESH = 160, 8
"""How many, and how many of them have the same settings of the mesh: an istiod is started for each settings."""


def inbound(answer: Any) -> dict[str, Any]:
    """Listeners for what comes in, and the clusters of the application."""
    return {
        "lds": [listener for listener in answer["lds"] if listener.get("traffic_direction") == "INBOUND"],
        "cds": [cluster for cluster in answer["cds"] if cluster["name"].lower().startswith("inbound")],
    }


def test_random_worlds_mean_the_same(istiod: Istiod) -> None:
    told = []
    for seed in range(WORLDS):
        mesh = random_inbound.mesh(seed // OF_ONE_MESH * OF_ONE_MESH)
        text, asker = random_inbound.world(seed), random_inbound.asker(seed)
        (answer,) = istiod.ask(text, mesh, [asker])
        made = Case(text, mesh, {}).answer(asker)
        told += [f"seed {seed}: {line}" for line in differences(inbound(answer), inbound(made))]
    assert "\n".join(told[:20]) == ""

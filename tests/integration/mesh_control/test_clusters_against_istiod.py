"""Clusters and their hosts, compiled by a real istiod and by us, in random worlds, by seed alone."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import random_clusters
from tests.support.istio_compiler import Asker, Istiod
from tests.support.istiod_cases import Case
from tests.support.xds_differences import differences

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the programs' first build

WORLDS = 200
REGION, ZONE, SUBZONE = "topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"
ASKERS = (
    Asker(
        "sidecar~10.1.0.1~client-1.default~default.svc.cluster.local",
        {"LABELS": {"team": "a", REGION: "r1", ZONE: "z1", SUBZONE: "s1"}, "NAMESPACE": "default"},
    ),
    Asker("sidecar~10.1.0.2~client-2.shop~shop.svc.cluster.local", {"LABELS": {REGION: "r2"}, "NAMESPACE": "shop"}),
    Asker(
        "router~10.1.0.3~edge-1.istio-system~istio-system.svc.cluster.local",
        {"LABELS": {"istio": "ingressgateway", REGION: "r1", ZONE: "z2"}, "NAMESPACE": "istio-system"},
    ),
)


def reached(answer: Any) -> dict[str, Any]:
    """Clusters and their hosts."""
    return {"cds": answer["cds"], "eds": answer["eds"]}


def unloadable(answer: Any) -> set[str]:
    """Clusters that Envoy refuses, and all others with them: one that takes a name at a time must have exactly one, which
    istiod forgets where shares of localities leave out the place of that host. Ours resolve all names there."""
    found = [cluster for cluster in answer["cds"] if cluster.get("type") == "LOGICAL_DNS"]
    return {
        c["name"] for c in found if not any(p.get("lb_endpoints") for p in c["load_assignment"].get("endpoints", ()))
    }


def told(istiod: Istiod, seed: int) -> Iterator[str]:
    text, mesh = random_clusters.world(seed), random_clusters.mesh(seed)
    answers = istiod.ask_if_valid(text, mesh, ASKERS)
    for asker, answer in zip(ASKERS if answers else (), answers, strict=True):
        for line in differences(reached(answer), reached(Case(text, mesh, {}).answer(asker))):
            if not any(f"cds[{name}]" in line for name in unloadable(answer)):
                yield f"seed {seed}, {asker.id}: {line}"


def test_random_worlds_mean_the_same(istiod: Istiod) -> None:
    # those with equal settings of the mesh one after the other: an istiod is started for each settings
    seeds = sorted(range(WORLDS), key=lambda seed: (random_clusters.mesh(seed), seed))
    lines = [line for seed in seeds for line in told(istiod, seed)]
    assert "\n".join(lines[:20]) == ""

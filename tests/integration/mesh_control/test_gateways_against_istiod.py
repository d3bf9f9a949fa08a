"""Random gateways, of Istio and of the Gateway API, compiled by a real istiod and by us: a seed always gives one world."""

from collections.abc import Callable

import pytest

from tests.support import random_gateway_api, random_gateways
from tests.support.istio_compiler import Asker, Istiod
from tests.support.istiod_cases import MESH, USUAL, Case
from tests.support.xds_differences import differences

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the programs' first build

WORLDS = 120
GATEWAYS = (USUAL["gateway"],)
GATEWAY_API = (
    Asker("router~10.0.0.9~gw-1.edge~edge.svc.cluster.local", {"LABELS": {"gateway": "yes"}, "NAMESPACE": "edge"}),
    Asker("sidecar~10.0.0.8~client-1.default~default.svc.cluster.local", {"LABELS": {"app": "client"}}),
)


@pytest.mark.parametrize(
    ("world", "askers"),
    [(random_gateways.world, GATEWAYS), (random_gateway_api.world, GATEWAY_API)],
    ids=["istio", "gateway-api"],
)
def test_means_the_same(istiod: Istiod, world: Callable[[int], str], askers: tuple[Asker, ...]) -> None:
    texts = [world(seed) for seed in range(WORLDS)]
    answers = [istiod.ask(text, MESH, askers) for text in texts]
    told = [
        f"seed {seed}, {asker.id}: {line}"
        for seed, (text, found) in enumerate(zip(texts, answers, strict=True))
        for asker, answer in zip(askers, found, strict=True)
        for line in differences(answer, Case(text, MESH, {}).answer(asker))
    ]
    assert "\n".join(told[:20]) == ""

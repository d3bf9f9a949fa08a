"""Random settings and policies about all connections, compiled by a real istiod and by us: a seed always gives one world."""

import pytest

from tests.support import random_filters
from tests.support.istio_compiler import Istiod
from tests.support.istiod_cases import Case
from tests.support.xds_differences import differences

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the programs' first build

WORLDS, OF_ONE_MESH = 120, 4
"""How many, and how many of them have the same settings of the mesh: an istiod is started for each settings."""


def test_means_the_same(istiod: Istiod) -> None:
    told = []
    for first in range(0, WORLDS, OF_ONE_MESH):
        mesh, askers = random_filters.mesh(first), random_filters.askers(first)
        seeds = range(first, first + OF_ONE_MESH)
        texts = [random_filters.world(seed) for seed in seeds]
        answers = [istiod.ask(text, mesh, askers) for text in texts]
        for seed, text, found in zip(seeds, texts, answers, strict=True):
            for asker, answer in zip(askers, found, strict=True):
                made = Case(text, mesh, {}).answer(asker)
                told += [f"seed {seed}, {asker.id}: {line}" for line in differences(answer, made)]
    assert "\n".join(told[:20]) == ""

"""Everything at once, compiled by a real istiod and by us, in random worlds: a seed always gives one world."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.support import random_mixed
from tests.support.istio_compiler import Istiod, IstiodError
from tests.support.istiod_cases import Case
from tests.support.xds_differences import differences

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the programs' first build

WORLDS, OF_ONE_MESH = 80, 8
"""How many, and how many of them have the same settings of the mesh: an istiod is started for each settings."""


def asked(istiod: Istiod, seed: int, mesh: str) -> list[Mapping[str, Any]]:
    """istiod's answers; none for a world that its webhook refuses, and where it falls over itself: over ``DYNAMIC_DNS`` with
    detection of outliers."""
    try:
        return list(istiod.ask_if_valid(random_mixed.world(seed), mesh, random_mixed.askers(seed)))
    except IstiodError as error:
        if "pilot/pkg" not in str(error):
            raise
        istiod.__exit__()
        return []


def told(istiod: Istiod, seed: int) -> Iterator[str]:
    mesh = random_mixed.mesh(seed // OF_ONE_MESH * OF_ONE_MESH)
    answers = asked(istiod, seed, mesh)
    case = Case(random_mixed.world(seed), mesh, {})
    for asker, answer in zip(random_mixed.askers(seed) if answers else (), answers, strict=True):
        made = case.answer(asker)
        # Tables behind guards are not seen by the program that asks istiod; the listeners name the same ones anyway.
        tables = {table["name"] for table in answer["rds"]}
        made = {**made, "rds": [table for table in made["rds"] if table["name"] in tables]}
        for line in differences(answer, made):
            yield f"seed {seed}, {asker.id}: {line}"


def test_means_the_same(istiod: Istiod) -> None:
    lines = [line for seed in range(WORLDS) for line in told(istiod, seed)]
    assert "\n".join(lines[:20]) == ""

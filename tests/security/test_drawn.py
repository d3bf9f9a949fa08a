"""Policies and requests that are drawn: a real Envoy and our proxy decide alike about each."""

from collections import Counter
from pathlib import Path

import pytest

from tests.integration.conftest import envoy
from tests.parity.outcomes import differences
from tests.parity.sides import run_on_both
from tests.security.drawn_policies import drawn

__all__ = ["envoy"]

pytestmark = pytest.mark.integration

SEEDS = range(40)
REQUESTS = 25


@pytest.mark.timeout(600)
def test_drawn_policies_decide_as_on_envoy(envoy: Path, tmp_path: Path) -> None:
    files = [drawn(seed, REQUESTS) for seed in SEEDS]
    cases = [(file, case) for file in files for case in file.cases]
    both = run_on_both(envoy, tmp_path, files, cases)
    found, statuses = [], Counter[object]()
    for (file, case), theirs, ours in zip(cases, both.envoy, both.ours, strict=True):
        statuses[ours.get("status")] += 1
        found += [f"{file.name} {case.name}: {name}: {pair}" for name, pair in differences(theirs, ours).items()]
    assert not found, "\n".join(found)
    assert min(statuses[200], statuses[403]) > len(cases) // 10, statuses

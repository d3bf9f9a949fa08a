"""Random tables and requests, random tokens, and damaged bytes, on a real Envoy and on ours."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tests.parity.case_files import CaseFile
from tests.parity.outcomes import Outcome, differences
from tests.parity.random_bytes import damaged
from tests.parity.random_routes import table
from tests.parity.random_tokens import DAMAGED as ANOTHER_LETTER
from tests.parity.random_tokens import issuers
from tests.parity.sides import run_on_both

pytestmark = pytest.mark.integration

SEEDS = range(12)
REQUESTS = 40
DAMAGED = 250
TOKENS = 60
DIFFERS: dict[str, str] = {}
"""What may differ in any of them, and why."""


def told(files: Sequence[CaseFile], envoy: Sequence[Outcome], ours: Sequence[Outcome]) -> list[str]:
    """Every difference that has no reason."""
    cases = [(file, case) for file in files for case in file.cases]
    return [
        f"{file.name} {case.name}: {name}: Envoy {a!r}, ours {b!r}"
        for (file, case), theirs, own in zip(cases, envoy, ours, strict=True)
        for name, (a, b) in differences(theirs, own).items()
        if not any(fnmatchcase(name, what) for what in DIFFERS)
    ]


def test_random_requests_for_random_tables_get_what_envoy_gives_them(envoy: Path, tmp_path: Path) -> None:
    files = [table(seed, REQUESTS) for seed in SEEDS]
    both = run_on_both(envoy, tmp_path, files, [(file, case) for file in files for case in file.cases])
    found = told(files, both.envoy, both.ours)
    assert not found, "\n".join(found)


def reached(outcome: Outcome) -> list[tuple[object, object]]:
    """What servers were asked: lines and bodies, without those that were cut off."""
    prefixes = [prefix for prefix in ("", "2 ", "3 ") if f"{prefix}seen" in outcome]
    return [
        (outcome[f"{prefix}seen"], outcome[f"{prefix}seen body"])
        for prefix in prefixes
        if f"{prefix}seen end" not in outcome
    ]


def test_of_damaged_requests_nothing_reaches_servers_that_envoy_would_not_send(envoy: Path, tmp_path: Path) -> None:
    """Ours may refuse more; what it sends on, Envoy sends on as well, and in the same words."""
    file = damaged(1, DAMAGED)
    both = run_on_both(envoy, tmp_path, [file], [(file, case) for case in file.cases])
    laxer = [
        f"{case.name}: Envoy {reached(theirs)}, ours {reached(own)}"
        for case, theirs, own in zip(file.cases, both.envoy, both.ours, strict=True)
        if reached(own) != reached(theirs)[: len(reached(own))]
    ]
    assert not laxer, "\n".join(laxer)


def test_random_tokens_are_believed_by_nobody_whom_envoy_would_not_believe(envoy: Path, tmp_path: Path) -> None:
    """Of those with a letter that is another ours may refuse more, and for another reason."""
    files = [issuers(seed, TOKENS) for seed in SEEDS]
    cases = [(file, case) for file in files for case in file.cases]
    both = run_on_both(envoy, tmp_path, files, cases)
    found = [
        f"{file.name} {case.name}: {case.said}: {name}: Envoy {a!r}, ours {b!r}"
        for (file, case), theirs, own in zip(cases, both.envoy, both.ours, strict=True)
        if own["status"] == 200 or not case.name.endswith(ANOTHER_LETTER)
        for name, (a, b) in differences(theirs, own).items()
    ]
    assert not found, "\n".join(found)
    assert 0.2 < sum(own["status"] == 200 for own in both.ours) / len(cases) < 0.8

"""Every request under every policy: the verdict of the file, on a real Envoy and on our proxy, and no other difference."""

from pathlib import Path

import pytest

from tests.integration.conftest import envoy
from tests.parity.outcomes import Outcome, judged
from tests.parity.sides import run_on_both
from tests.security.policy_files import REFUSED, Expected, PolicyFile, read_all

__all__ = ["envoy"]

pytestmark = pytest.mark.integration

FILES = read_all()
ROWS = [(made, expected) for made in FILES for expected in made.expected]
Found = dict[tuple[str, str], tuple[Outcome, Outcome]]


@pytest.fixture(scope="module")
def found(envoy: Path, tmp_path_factory: pytest.TempPathFactory) -> Found:
    made = read_all()  # again: a session may last longer than the tokens that were made when it began
    files = [one.file for one in made]
    cases = [(one.file, expected.case) for one in made for expected in one.expected]
    both = run_on_both(envoy, tmp_path_factory.mktemp("security"), files, cases)
    return {
        (file.key, case.name): (envoys, ours)
        for (file, case), envoys, ours in zip(cases, both.envoy, both.ours, strict=True)
    }


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("made", "expected"), ROWS, ids=[f"{made.file.name}: {one.case.name}" for made, one in ROWS])
def test_the_verdict(found: Found, made: PolicyFile, expected: Expected) -> None:
    envoy, ours = found[made.file.key, expected.case.name]
    assert verdict_of(ours) == expected.verdict
    if expected.verdict == REFUSED or int(expected.verdict) >= 400:
        assert "seen" not in ours, "it reached the application"
    judgement = judged(expected.case, envoy, ours)
    assert not judgement.left, "\n".join(f"{name}: Envoy {a!r}, ours {b!r}" for name, (a, b) in judgement.left.items())
    assert not judgement.gone, f"no longer different: {judgement.gone}"


def verdict_of(outcome: Outcome) -> int | str:
    """The status; without one, that the connection was not served."""
    status = outcome.get("status")
    return int(status) if status else REFUSED


def test_there_are_enough() -> None:
    assert len(ROWS) >= 300

"""Every case on a real Envoy and on ours: the same comes of it, but for what the case says."""

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.parity.case_files import Case, CaseFile, read_all
from tests.parity.outcomes import Outcome, judged
from tests.parity.refusals import taken
from tests.parity.sides import run_on_both

pytestmark = pytest.mark.integration

FILES = read_all()
ROWS = [(file, case) for file in FILES for case in file.cases if not file.refused]


class Found(NamedTuple):
    """What came of every case on Envoy and on ours, by file and case; and which configurations ours refuses, and why."""

    outcomes: dict[tuple[str, str], tuple[Outcome, Outcome]]
    refused: dict[str, str]


@pytest.fixture(scope="module")
def found(envoy: Path, tmp_path_factory: pytest.TempPathFactory) -> Found:
    folder = tmp_path_factory.mktemp("parity")
    # Read again: a session may last longer than the tokens that were made when it began.
    files, refused = taken(read_all(), folder)
    cases = [(file, case) for file in files for case in file.cases]
    both = run_on_both(envoy, folder, files, cases)
    outcomes = zip(cases, both.envoy, both.ours, strict=True)
    return Found({(file.key, case.name): (envoys, ours) for (file, case), envoys, ours in outcomes}, refused)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("file", "case"), ROWS, ids=[f"{file.folder}/{file.name}: {case.name}" for file, case in ROWS])
def test_what_comes_of_it_on_envoy_comes_of_it_here(found: Found, file: CaseFile, case: Case) -> None:
    assert file.key not in found.refused, found.refused[file.key]
    envoy, ours = found.outcomes[file.key, case.name]
    judgement = judged(case, envoy, ours)
    assert not judgement.left, "\n".join(f"{name}: Envoy {a!r}, ours {b!r}" for name, (a, b) in judgement.left.items())
    assert not judgement.gone, f"no longer different: {judgement.gone}"
    if judgement.faults:
        pytest.xfail("; ".join(dict.fromkeys(judgement.faults.values())))


def test_what_is_said_to_be_refused_is_refused(found: Found) -> None:
    refused = {file.key: file.refused for file in FILES if file.refused}
    assert [f"{key} is taken now: {why}" for key, why in refused.items() if key not in found.refused] == []
    if refused:
        pytest.xfail("; ".join(refused.values()))

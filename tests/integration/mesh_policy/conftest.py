"""The code of Istio and of Kubernetes that gives verdicts, built once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import go_programs, verdicts


@pytest.fixture(scope="session")
def verdicts_program() -> Path:
    """The program."""
    try:
        return go_programs.build("istio_verdicts")
    except go_programs.NotBuiltError as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def istio_verdicts(verdicts_program: Path) -> Iterator[verdicts.Verdicts]:
    """It runs, with Istio's own definitions."""
    with verdicts.running(verdicts_program) as found:
        yield found

"""The code of Istio and of Kubernetes that gives verdicts, built once."""

from collections.abc import Iterator

import pytest

from tests.support import go_programs, verdicts


@pytest.fixture(scope="session")
def istio_verdicts() -> Iterator[verdicts.Verdicts]:
    """The program with Istio's own definitions."""
    try:
        program = go_programs.build("istio_verdicts")
    except go_programs.NotBuiltError as reason:
        pytest.skip(str(reason))
    with verdicts.running(program) as found:
        yield found

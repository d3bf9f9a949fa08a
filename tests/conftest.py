"""How the suite is divided between processes: `make test` runs it with pytest-xdist in two."""

from typing import Any

import pytest


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Whole environments in one process, everything else in the other, each in its order.

    Environments wait for machines most of the time; and no two of them can be on this machine at once.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Division(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "e2e" if nodeid.startswith("tests/e2e/") else "rest"

    return Division(config, log)

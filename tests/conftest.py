"""How the suite is divided between processes: `make test` runs it with pytest-xdist in two."""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings

import mesh_api.xds  # noqa: F401  (before any message of Envoy's: it adds fields to them)

# How long an example takes says something of the machine and of who else uses it, and nothing of what is tested.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

ENVIRONMENTS = "tests/e2e"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """All environments in one process, beside them everything else file by file, in the order of ``testpaths``.

    Environments wait for machines most of the time, and no two of them can be on this machine at once: they begin first.
    The process that is done with them helps the others.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Division(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return ENVIRONMENTS if nodeid.startswith(f"{ENVIRONMENTS}/") else nodeid.partition("::")[0]

        def _assign_work_unit(self, node: Any) -> None:
            if ENVIRONMENTS in self.workqueue:
                self.workqueue.move_to_end(ENVIRONMENTS, last=False)
            super()._assign_work_unit(node)

    config.option.loadscopereorder = False
    return Division(config, log)

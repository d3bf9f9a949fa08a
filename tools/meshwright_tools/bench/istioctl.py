"""The istioctl that we are compared with: built from Istio's module once, and kept in the user's cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

VERSION = "v0.0.0-20260827124520-eed52ebb66ad"
"""Of the module istio.io/istio: Istio gives its releases no versions that Go knows as such."""
PACKAGE = "istio.io/istio/istioctl/cmd/istioctl"


def kept(cache: Path) -> Path:
    """Where it is kept."""
    return cache / f"istioctl-{VERSION}" / "istioctl"


def found(cache: Path) -> Path | None:
    """The one that ``ISTIOCTL`` names, or the one that is kept; None when there is neither."""
    named = os.environ.get("ISTIOCTL")
    if named and not Path(named).is_file():
        raise SystemExit(f"ISTIOCTL={named}: there is no such file")
    path = Path(named) if named else kept(cache)
    return path if path.is_file() else None


def build(cache: Path) -> int:
    """Build it unless it is there: some ten minutes the first time, through Go's module proxy."""
    path = kept(cache)
    if not path.is_file():
        if not shutil.which("go"):
            print("Go is missing: https://go.dev/doc/install, or name a ready istioctl in ISTIOCTL")
            return 1
        print(f"building istioctl {VERSION} with Go; the first time takes some ten minutes", flush=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="building-", dir=path.parent) as directory:
            done = subprocess.run(
                ["go", "install", f"{PACKAGE}@{VERSION}"], env={**os.environ, "GOBIN": directory}, check=False
            )
            if done.returncode:
                return 1
            (Path(directory) / "istioctl").replace(path)
    print(path)
    return 0

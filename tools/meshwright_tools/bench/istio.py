"""Istio's programs that we are compared with: built from its module once, and kept in the user's cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

VERSION = "v0.0.0-20260827124520-eed52ebb66ad"
"""Of the module istio.io/istio: Istio gives its releases no versions that Go knows as such."""


@dataclass(frozen=True)
class Program:
    """One of them. ``package`` is in Istio's module; ``called`` is what we call it, also in the cache; the environment's
    ``variable`` names a ready one."""

    called: str
    package: str
    variable: str

    def kept(self, cache: Path) -> Path:
        """Where it is kept."""
        return cache / f"{self.called}-{VERSION}" / self.called

    def found(self, cache: Path) -> Path | None:
        """The one that the environment names, or the one that is kept; None when there is neither."""
        named = os.environ.get(self.variable)
        if named and not Path(named).is_file():
            raise SystemExit(f"{self.variable}={named}: there is no such file")
        path = Path(named) if named else self.kept(cache)
        return path if path.is_file() else None

    def build(self, cache: Path) -> int:
        """Build it unless it is there: some ten minutes the first time, through Go's module proxy."""
        path = self.kept(cache)
        if not path.is_file():
            if not shutil.which("go"):
                print(f"Go is missing: https://go.dev/doc/install, or name a ready {self.called} in {self.variable}")
                return 1
            print(f"building {self.called} {VERSION} with Go; the first time takes some ten minutes", flush=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix="building-", dir=path.parent) as directory:
                command = ["go", "install", f"istio.io/istio/{self.package}@{VERSION}"]
                done = subprocess.run(command, env={**os.environ, "GOBIN": directory}, check=False)
                if done.returncode:
                    return 1
                (Path(directory) / self.package.rpartition("/")[2]).replace(path)
        print(path)
        return 0


ISTIOCTL = Program("istioctl", "istioctl/cmd/istioctl", "ISTIOCTL")
ISTIOD = Program("istiod", "pilot/cmd/pilot-discovery", "ISTIOD")
PROGRAMS = {program.called: program for program in (ISTIOCTL, ISTIOD)}

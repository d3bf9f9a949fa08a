"""Where things lie: the checkout, its state, and the cache that outlives it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Checkout:
    """A checkout of the project and the user's cache directory."""

    root: Path
    cache: Path

    @property
    def venv(self) -> Path:
        """The environment of everything: development, tests, infrastructure."""
        return self.root / ".venv"

    @property
    def state(self) -> Path:
        """Made on this machine and never committed: stack state, logs, wheels."""
        return self.root / ".meshwright"

    @property
    def requirements(self) -> Path:
        """The hash-locked requirements."""
        return self.root / "requirements"

    @property
    def logs(self) -> Path:
        """Output of the programs that the tools run."""
        return self.state / "logs"

    def private_state(self) -> Path:
        """The state directory, made for its owner alone: it holds the state of stacks and keys."""
        self.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.state.chmod(0o700)
        return self.state


def here(environment: Mapping[str, str] = os.environ, root: Path = ROOT) -> Checkout:
    """The checkout that these tools belong to; ``MESHWRIGHT_CACHE`` names another cache."""
    cache = environment.get("MESHWRIGHT_CACHE")
    if cache:
        return Checkout(root, Path(cache).expanduser().absolute())
    base = environment.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Checkout(root, Path(base) / "meshwright")

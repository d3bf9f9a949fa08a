"""The supervisor's own log: lines on standard error, or in a file that can be opened anew after its rotation."""

import logging
import sys
import time
from pathlib import Path


class Log:
    """Writes what is logged under ``mesh_proxy`` to ``path`` (``None``: standard error), from ``level`` on."""

    def __init__(self, level: str, path: Path | None = None) -> None:
        self._logger = logging.getLogger("mesh_proxy")
        self._handler: logging.Handler
        if path is None:
            self._handler = logging.StreamHandler(sys.stderr)
        else:
            self._handler = logging.FileHandler(path, encoding="utf-8")
        formatter = logging.Formatter(
            "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S"
        )
        formatter.converter = time.gmtime
        self._handler.setFormatter(formatter)
        self._logger.addHandler(self._handler)
        self._logger.propagate = False
        self.set_level(level)

    def set_level(self, level: str) -> None:
        """``debug``, ``info``, ``warning`` or ``error``."""
        self.level = level
        self._logger.setLevel(level.upper())

    def reopen(self) -> None:
        """Goes on in a new file where the old one was moved away."""
        if isinstance(self._handler, logging.FileHandler):
            # A closed handler opens its file again with the next line.
            self._handler.close()

    def close(self) -> None:
        """Writes nothing more."""
        self._logger.removeHandler(self._handler)
        self._handler.close()

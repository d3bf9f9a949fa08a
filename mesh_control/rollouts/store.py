"""What releases are told and where they are, in a file of SQLite: a crash at any point leaves one state or the next."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from mesh_policy.releases.machine import Rollout, State


class StoreError(RuntimeError):
    """The file cannot be used; the message names it."""


@dataclass(slots=True)
class Store:
    """Releases by name in the file ``path``, which is made when it is missing. Raises :class:`StoreError`."""

    path: Path

    def __post_init__(self) -> None:
        with self._open() as database:
            database.execute("CREATE TABLE IF NOT EXISTS rollouts (name TEXT PRIMARY KEY, rollout TEXT, state TEXT)")

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path, isolation_level=None)) as database:
                yield database
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from None

    def all(self) -> dict[str, tuple[Rollout, State]]:
        """Every release that was begun, and where it is."""
        try:
            with self._open() as database:
                rows = database.execute("SELECT name, rollout, state FROM rollouts ORDER BY name").fetchall()
            return {
                name: (Rollout.model_validate(json.loads(rollout)), State.model_validate_json(state))
                for name, rollout, state in rows
            }
        except (ValidationError, ValueError) as error:
            raise StoreError(f"{self.path}: {error}") from None

    def put(self, rollout: Rollout, state: State) -> None:
        """Remember where a release is."""
        row = (rollout.name, json.dumps(rollout.to_document()), state.model_dump_json())
        with self._open() as database:
            database.execute("INSERT OR REPLACE INTO rollouts VALUES (?, ?, ?)", row)

    def remove(self, name: str) -> None:
        """Forget a release."""
        with self._open() as database:
            database.execute("DELETE FROM rollouts WHERE name = ?", (name,))

"""What every file of policies last held that could be used, in a file of SQLite: so that one which is broken when the control
plane starts again keeps what it held. All that changed is written at once: thousands of files would take seconds."""

import os
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mesh_control.databases import StoreError, opened

_SCHEMA = "CREATE TABLE IF NOT EXISTS accepted (path BLOB PRIMARY KEY, text TEXT NOT NULL)"


@dataclass(slots=True)
class Accepted:
    """The file ``path``, which is made when it is missing, about files below ``folder``. Where it cannot be used, nothing is
    remembered and ``problem`` says why; it is tried again with the next change."""

    path: Path
    folder: Path
    problem: str = ""
    _texts: dict[Path, str] = field(default_factory=dict)
    _database: sqlite3.Connection | None = None

    def __post_init__(self) -> None:
        try:
            self._open()
        except StoreError as error:
            self._tell(error)

    def get(self, file: Path) -> str | None:
        """What a file held."""
        return self._texts.get(file)

    def of_owner(self, owner: str) -> list[str]:
        """The names of an owner's files."""
        return [file.name for file in self._texts if file.parent.name == owner]

    def remember(self, texts: Mapping[Path, str]) -> None:
        """These, and nothing else. A file that was removed must not come back when one of its name is made anew and is
        broken."""
        if texts == self._texts and not self.problem:
            return
        try:
            database = self._database or self._open()
            gone = [(self._name(file),) for file in self._texts.keys() - texts.keys()]
            news = [(self._name(file), text) for file, text in texts.items() if self._texts.get(file) != text]
            try:
                database.execute("BEGIN IMMEDIATE")
                database.executemany("DELETE FROM accepted WHERE path = ?", gone)
                database.executemany("INSERT OR REPLACE INTO accepted VALUES (?, ?)", news)
                database.execute("COMMIT")
            except sqlite3.Error as error:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise StoreError(f"{self.path}: {error}") from None
        except StoreError as error:
            self._tell(error)
            return
        self._texts, self.problem = dict(texts), ""

    def _open(self) -> sqlite3.Connection:
        """Reads what there is. Raises :class:`StoreError`."""
        database = opened(self.path, _SCHEMA)
        try:
            rows = database.execute("SELECT path, text FROM accepted").fetchall()
            self._texts = {self.folder / os.fsdecode(path): text for path, text in rows}
        except (sqlite3.Error, TypeError) as error:
            raise StoreError(f"{self.path}: {error}") from None
        self._database = database
        return database

    def _name(self, file: Path) -> bytes:
        return os.fsencode(file.relative_to(self.folder))

    def _tell(self, error: StoreError) -> None:
        self.problem = f"{error}; what is in force cannot be kept for a restart; remove the file"

"""Registrations in a file of SQLite: a crash of the process at any point leaves one state or the next.

What the loss of power takes away is brought back by the proxies themselves when they reconnect.
"""

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from mesh_control.databases import StoreError, opened
from mesh_control.registration.lifecycle import Key, Registered
from mesh_policy import WorkloadEntry

_SCHEMA = """
CREATE TABLE IF NOT EXISTS registrations (
    namespace TEXT NOT NULL, name TEXT NOT NULL, "group" TEXT NOT NULL, proxy TEXT NOT NULL, entry TEXT NOT NULL,
    since REAL NOT NULL, seen REAL NOT NULL, ends REAL, healthy INTEGER, message TEXT NOT NULL,
    PRIMARY KEY (namespace, name))
"""


class Store:
    """The file ``path``, which is made when it is missing. Raises :class:`StoreError` everywhere."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database = opened(path, _SCHEMA)

    def all(self) -> dict[Key, Registered]:
        """Every registration, none of them connected."""
        found = {}
        statement = 'SELECT entry, "group", proxy, since, seen, ends, healthy, message FROM registrations'
        try:
            for text, group, proxy, since, seen, ends, healthy, message in self._database.execute(statement):
                entry = WorkloadEntry.read(json.loads(text))
                told = None if healthy is None else bool(healthy)
                registered = Registered(entry, group, proxy, since, seen, frozenset(), ends, told, message)
                found[registered.key] = registered
        except (sqlite3.Error, ValidationError, ValueError) as error:
            raise StoreError(f"{self._path}: {error}") from None
        return found

    def put(self, known: Registered) -> None:
        """Remember one."""
        healthy = None if known.healthy is None else int(known.healthy)
        row = (
            *known.key,
            known.group,
            known.proxy,
            json.dumps(known.entry.to_document()),
            known.since,
            known.seen,
            known.ends,
            healthy,
            known.message,
        )
        self._run("INSERT OR REPLACE INTO registrations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", [row])

    def seen(self, keys: Iterable[Key], now: float) -> None:
        """Those were there at that time."""
        self._run("UPDATE registrations SET seen = ? WHERE namespace = ? AND name = ?", [(now, *key) for key in keys])

    def remove(self, keys: Iterable[Key]) -> None:
        """Forget these."""
        self._run("DELETE FROM registrations WHERE namespace = ? AND name = ?", list(keys))

    def close(self) -> None:
        """Leave the file."""
        self._database.close()

    def _run(self, statement: str, rows: list[tuple[object, ...]]) -> None:
        try:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany(statement, rows)
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise StoreError(f"{self._path}: {error}") from None

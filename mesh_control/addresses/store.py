"""Given addresses in a file of SQLite, so that a control plane on a machine gives the same ones after its restart."""

import json
import sqlite3
from pathlib import Path

from mesh_control.addresses.plan import Allocated, Hosts, Owner
from mesh_control.databases import StoreError, opened

_SCHEMA = """
CREATE TABLE IF NOT EXISTS addresses (
    namespace TEXT NOT NULL, name TEXT NOT NULL, hosts TEXT NOT NULL, PRIMARY KEY (namespace, name))
"""


class Store:
    """The file ``path``, which is made when it is missing. Raises :class:`StoreError` everywhere."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database = opened(path, _SCHEMA)

    def all(self) -> dict[Owner, Hosts]:
        """Everything that was given."""
        try:
            rows = self._database.execute("SELECT namespace, name, hosts FROM addresses").fetchall()
            return {
                (namespace, name): {host: tuple(found) for host, found in json.loads(hosts).items()}
                for namespace, name, hosts in rows
            }
        except (sqlite3.Error, ValueError, AttributeError, TypeError) as error:
            raise StoreError(f"{self._path}: {error}") from None

    def put(self, given: Allocated) -> None:
        """This, and nothing else, is given now."""
        rows = [
            (*owner, json.dumps({host: list(found) for host, found in hosts.items()})) for owner, hosts in given.items()
        ]
        try:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute("DELETE FROM addresses")
            self._database.executemany("INSERT INTO addresses VALUES (?, ?, ?)", rows)
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise StoreError(f"{self._path}: {error}") from None

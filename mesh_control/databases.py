"""Files of SQLite in the control plane's state folder: a crash of the process at any point leaves one state or the next."""

import sqlite3
from pathlib import Path


class StoreError(RuntimeError):
    """The file cannot be used; the message names it."""


def opened(path: Path, schema: str) -> sqlite3.Connection:
    """The file, made when it is missing, with what ``schema`` makes where it is not there. Raises :class:`StoreError`."""
    try:
        database = sqlite3.connect(path, isolation_level=None)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute(schema)
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}") from None
    return database

"""The versioned SQL files of a schema, and bringing a database up to them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from psycopg import AsyncConnection, sql

NAME = re.compile(r"V(?P<version>[1-9][0-9]*)__(?P<name>[a-z0-9_]+)\.sql")


class MigrationError(Exception):
    """The files, or what the database says was applied, do not fit; the text says which."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: ``V<version>__<name>.sql``."""

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, to see that an applied file was changed afterwards."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def load(schema: str) -> tuple[Migration, ...]:
    """The migrations of a schema in order. Raises :class:`MigrationError` for a wrong name or a gap in the versions."""
    found = []
    for entry in files("meshwright_demo").joinpath("sql", schema).iterdir():
        match = NAME.fullmatch(entry.name)
        if match is None:
            raise MigrationError(f"{schema}/{entry.name}: not a name like V1__create_tables.sql")
        found.append(Migration(int(match["version"]), match["name"], entry.read_text(encoding="utf-8")))
    found.sort(key=lambda migration: migration.version)
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise MigrationError(f"{schema}: versions {[migration.version for migration in found]} have a gap or a double")
    return tuple(found)


def pending(migrations: Sequence[Migration], applied: Sequence[tuple[int, str]]) -> Sequence[Migration]:
    """Those to apply, given the (version, checksum) that the database has in order.

    Versions beyond ours are left alone: an older program must be able to run beside a newer one during a release.
    Raises :class:`MigrationError` if an applied file has been changed since.
    """
    checksums = dict(applied)
    for migration in migrations:
        if checksums.get(migration.version, migration.checksum) != migration.checksum:
            raise MigrationError(f"V{migration.version}__{migration.name}.sql was changed after it had been applied")
    return [migration for migration in migrations if migration.version not in checksums]


async def migrate(connection: AsyncConnection, schema: str, migrations: Sequence[Migration]) -> Sequence[Migration]:
    """Apply what is pending, all of it in one transaction; those applied.

    A lock makes a second copy of the program, or another program in the same database, wait its turn.
    """
    async with connection.transaction():
        # One lock for all schemas: CREATE SCHEMA of two programs at once can fail even with IF NOT EXISTS.
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext('meshwright-demo migrations'))")
        await connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_history (version integer PRIMARY KEY, name text NOT NULL,"
            " checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        cursor = await connection.execute("SELECT version, checksum FROM schema_history ORDER BY version")
        todo = pending(migrations, await cursor.fetchall())
        for migration in todo:
            await connection.execute(migration.text.encode())
            await connection.execute(
                "INSERT INTO schema_history (version, name, checksum) VALUES (%s, %s, %s)",
                (migration.version, migration.name, migration.checksum),
            )
    return todo

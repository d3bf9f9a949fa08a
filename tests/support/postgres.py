"""A PostgreSQL server of a test's own: real binaries, a directory of its own, a loopback port, gone afterwards."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from tests.support.ports import free_port

SUPERUSER = "postgres"
ROLE = "program"


class PostgresError(Exception):
    """A command of PostgreSQL failed; the text holds its output."""


def binaries() -> Path | None:
    """Where ``initdb`` and ``pg_ctl`` of the newest installed PostgreSQL are; None when there is none."""
    packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = packaged[-1:] or [Path(path) for path in [shutil.which("initdb")] if path]
    return found[0].resolve().parent if found else None


def missing() -> str | None:
    """Why no server can be made here, for a skip; None when one can."""
    if binaries() is None:
        return "PostgreSQL is not installed (Debian: apt-get install postgresql)"
    if os.geteuid() == 0 and not _account():
        return "PostgreSQL does not run as root, and there is no user postgres to run it as"
    return None


def _account() -> dict[str, Any]:
    """The arguments of subprocess that run the server as its unprivileged user; none when we are unprivileged."""
    if os.geteuid() != 0:
        return {}
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        return {}
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


class Postgres:
    """One server. It may be stopped and started again on the same port."""

    def __init__(self, directory: Path) -> None:
        found = binaries()
        assert found is not None, missing()
        self._binaries = found
        self._directory = directory
        self._data = directory / "data"
        self._superuser_password = secrets.token_hex(16)
        self.password = secrets.token_hex(16)
        """The password of the role ``program``, which owns every database that :meth:`database` makes."""
        self.port = 0
        self.running = False

    def initialize(self) -> None:
        """Make the data directory, start, and make the role."""
        file = self._directory / "superuser-password"
        file.touch(mode=0o600)
        file.write_text(self._superuser_password)
        if account := _account():
            os.chown(file, account["user"], account["group"])
        self._run("initdb", "--pgdata", str(self._data), "--username", SUPERUSER, "--auth", "scram-sha-256", "--no-sync",
                  "--pwfile", str(file), "--encoding", "UTF8", "--locale", "C.UTF-8")  # fmt: skip
        # Another process may take a port between our asking for a free one and the server's taking it.
        for last in (False, False, True):
            self.port = free_port()
            try:
                self.start()
                break
            except PostgresError:
                if last:
                    raise
        self._execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(ROLE), sql.Literal(self.password))
        )

    def start(self) -> None:
        """Returns when it accepts connections."""
        options = (
            f"-c port={self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._directory}"
            " -c fsync=off -c shared_buffers=16MB -c max_connections=60"
        )
        # Its log goes to a file: an inherited pipe would stay open for as long as the server runs.
        log = self._directory / "log"
        try:
            self._run("pg_ctl", "start", "--wait", "--pgdata", str(self._data), "--log", str(log), "--options", options)
        except PostgresError as error:
            raise PostgresError(f"{error}\n{log.read_text() if log.exists() else ''}") from None
        self.running = True

    def stop(self) -> None:
        """Returns when it has ended, its clients' connections cut."""
        if self.running:
            self._run("pg_ctl", "stop", "--wait", "--mode", "fast", "--pgdata", str(self._data))
            self.running = False

    def database(self, name: str) -> str:
        """Make an empty database; its URL for the role that owns it."""
        self._execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(ROLE)))
        return f"postgresql://{ROLE}:{self.password}@127.0.0.1:{self.port}/{name}"

    def _execute(self, statement: sql.Composed) -> None:
        parameters: dict[str, Any] = {
            "host": str(self._directory), "port": self.port, "user": SUPERUSER, "password": self._superuser_password
        }  # fmt: skip
        with psycopg.connect(dbname="postgres", autocommit=True, **parameters) as connection:
            connection.execute(statement)

    def _run(self, program: str, *arguments: str) -> None:
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                [str(self._binaries / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._directory,
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"},
                check=False,
                **_account(),
            )
            output.seek(0)
            if done.returncode != 0:
                raise PostgresError(
                    f"{program} ended with {done.returncode}:\n{output.read().decode(errors='replace')}"
                )


def _open_to_all() -> str:
    """A directory of temporary files that the server's user may enter: not pytest's, and not each machine's ``/tmp``."""
    usual = tempfile.gettempdir()
    for place in (usual, "/var/tmp"):
        if all(path.stat().st_mode & stat.S_IXOTH for path in (Path(place), *Path(place).parents)):
            return place
    return usual


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A running server, stopped and removed at the end. See :func:`missing` first."""
    directory = Path(tempfile.mkdtemp(prefix="meshwright-postgres-", dir=_open_to_all()))
    try:
        if account := _account():
            os.chown(directory, account["user"], account["group"])
        server = Postgres(directory)
        try:
            server.initialize()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory)

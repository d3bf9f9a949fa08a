"""The demo's PostgreSQL: a cluster where there is none, one database, and the role that owns it.

``python -m meshwright_demo.postgresql`` is the server in a container: it makes the cluster where the volume is empty, has the
database and the role with the password of a file, and becomes the server. Nobody is let in before all of that is there.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

SUPERUSER = "postgres"
"""Of a cluster; it has no password, so it comes in by the server's own socket alone."""
BINARIES = Path("/usr/lib/postgresql/15/bin")
START_SECONDS = 60.0
RECOVERY_SECONDS = 600.0
"""How long a server that was killed may take to read its log."""
_LOGINS = """\
# Written at each start; changes made here are undone.
local all all trust
host "{database}" "{role}" all scram-sha-256
"""


class ServerError(Exception):
    """The server cannot be had; the message says why."""


@dataclass(frozen=True, slots=True)
class Login:
    """A database and the role that owns it."""

    database: str
    role: str
    password: str = field(repr=False)


def make_cluster(binaries: Path, data: Path, account: Mapping[str, Any]) -> None:
    """Make a cluster in ``data`` unless there is one: beside its place, and moved there when it is whole, so that one cut off
    halfway is made anew. ``account`` is how :mod:`subprocess` runs programs as the server's user.

    Over TCP passwords are asked for (SCRAM); by the socket, which lies in ``data``, only the server's own user comes in.
    Raises :class:`subprocess.CalledProcessError`.
    """
    if data.exists():
        return
    new = data.with_name("new")
    shutil.rmtree(new, ignore_errors=True)
    command = [str(binaries / "initdb"), "--pgdata", str(new), "--username", SUPERUSER, "--encoding", "UTF8"]
    command += ["--locale", "C.UTF-8", "--auth-local", "trust", "--auth-host", "scram-sha-256"]
    subprocess.run(command, cwd="/", check=True, **account)
    new.rename(data)


def have_database(process: subprocess.Popen[bytes], socket: Path, port: int, login: Login, seconds: float) -> None:
    """Have the database and its role in a server that starts, as soon as it answers at its socket.

    Raises :class:`ServerError` where it ends instead, or does not answer in time.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            place: dict[str, Any] = {"host": str(socket), "port": port, "user": SUPERUSER, "dbname": "postgres"}
            with closing(psycopg.connect(**place, autocommit=True)) as connection:
                _have(connection, login)
            return
        except psycopg.OperationalError as error:
            if (code := process.poll()) is not None:
                raise ServerError(f"PostgreSQL has ended with {code}") from None
            if time.monotonic() > deadline:
                raise ServerError(f"PostgreSQL is not ready after {seconds:.0f} s: {error}") from None
        time.sleep(0.2)


def _have(connection: psycopg.Connection[Any], login: Login) -> None:
    role, database = sql.Identifier(login.role), sql.Identifier(login.database)
    if not connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (login.role,)).rowcount:
        connection.execute(sql.SQL("CREATE ROLE {}").format(role))
    # As the server keeps it: its log shows statements that fail.
    verifier = connection.pgconn.encrypt_password(login.password.encode(), login.role.encode(), b"scram-sha-256")
    statement = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}")
    connection.execute(statement.format(role, sql.Literal(verifier.decode())))
    if not connection.execute("SELECT FROM pg_database WHERE datname = %s", (login.database,)).rowcount:
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, role))


def prepare(binaries: Path, data: Path, port: int, login: Login) -> None:
    """Have a cluster with the database in it, by a server that listens on no network and has ended afterwards.

    Raises :class:`ServerError`.
    """
    try:
        make_cluster(binaries, data, {})
    except (OSError, subprocess.CalledProcessError) as error:
        raise ServerError(f"the cluster could not be made in {data}: {error}") from None
    (data / "pg_hba.conf").write_text(_LOGINS.format(database=login.database, role=login.role))
    process = subprocess.Popen(server(binaries, data, port, listen=""), cwd="/")
    try:
        have_database(process, data, port, login, RECOVERY_SECONDS)
    finally:
        process.send_signal(signal.SIGINT)  # its fast shutdown
        process.wait()


def server(binaries: Path, data: Path, port: int, *, listen: str) -> list[str]:
    """The command of the server of a cluster; ``listen`` are the addresses that it listens on (``*``: all)."""
    options = [f"listen_addresses={listen}", f"port={port}", f"unix_socket_directories={data}"]
    # What a server of a few clients needs; by default it takes 128 MiB.
    options += ["shared_buffers=32MB", "max_connections=60", "jit=off"]
    return [str(binaries / "postgres"), "-D", str(data), *(word for option in options for word in ("-c", option))]


def main() -> int:
    """Entry point: 1 where the server cannot be had, 64 for a wrong setting; else it becomes the server."""
    parser = argparse.ArgumentParser(prog="meshwright-demo-postgresql", description="The demo's PostgreSQL.")
    parser.add_argument("--volume", type=Path, default=Path("/var/lib/meshwright"), help="directory of the data")
    parser.add_argument("--port", type=int, default=5432)
    parser.add_argument("--database", default="services")
    parser.add_argument("--role", default="program", help="who owns the database and logs in over the network")
    parser.add_argument("--password-file", type=Path, required=True, help="file with that role's password")
    arguments = parser.parse_args()
    try:
        password = arguments.password_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        return _fail(f"--password-file {arguments.password_file}: {error}", os.EX_USAGE)
    if not password:
        return _fail(f"--password-file {arguments.password_file}: is empty", os.EX_USAGE)
    data = arguments.volume / "data"
    try:
        prepare(BINARIES, data, arguments.port, Login(arguments.database, arguments.role, password))
    except ServerError as error:
        return _fail(str(error), 1)
    command = server(BINARIES, data, arguments.port, listen="*")
    return os.execv(command[0], command)  # noqa: S606 (no shell, and words of ours)


def _fail(message: str, code: int) -> int:
    print(f"meshwright-demo-postgresql: {message}", file=sys.stderr)  # noqa: T201 - for whoever started it
    return code


if __name__ == "__main__":
    sys.exit(main())

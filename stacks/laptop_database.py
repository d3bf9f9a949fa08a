"""PostgreSQL as a plain process on loopback: ``python -m stacks.laptop_database SETTINGS``.

Makes the cluster when it is not there, starts the server, has the database and its role, and ends the server with itself. The
server's own socket lies in its data directory, which only its owner may enter; over TCP the password is asked for.
"""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

UNPRIVILEGED = "postgres"
"""Whom the server runs as when we are root, which it refuses to run as."""
START_SECONDS = 60.0

# psql quotes the values; by standard input, so that the password never stands in a process list.
ROLE_AND_DATABASE = r"""
\set user '{user}'
\set password '{password}'
\set database '{database}'
SELECT format('CREATE ROLE %I', :'user') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'user') \gexec
ALTER ROLE :"user" LOGIN PASSWORD :'password';
SELECT format('CREATE DATABASE %I OWNER %I', :'database', :'user')
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec
"""


def binaries() -> Path | None:
    """Where ``initdb`` and ``postgres`` are, of the newest version; ``None`` when none can be run here."""
    packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = packaged[-1:] or [Path(path) for path in [shutil.which("initdb")] if path]
    return found[0].resolve().parent if found and (os.geteuid() or account()) else None


def account() -> dict[str, Any]:
    """How :mod:`subprocess` is to run the server: as its own user when we are root."""
    if os.geteuid() != 0:
        return {}
    try:
        user = pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        return {}
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def data_directory(state: Path, environment: str) -> Path:
    """Where the data lies: below ``state``, or, as the server's user may not enter that of root, in the system's place."""
    return state / "postgresql" if os.geteuid() else Path("/var/lib/meshwright/processes") / environment


class Server:
    """One server. ``settings``: ``binaries``, ``data``, ``port``, ``database``, ``user``, ``password``."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings
        self._data = Path(settings["data"]) / "data"
        self._process: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """Serve until SIGTERM; returns the server's exit code."""
        signal.signal(signal.SIGTERM, lambda *_: self._end())
        self._initialize()
        options = [
            *("-D", str(self._data), "-p", str(self._settings["port"]), "-c", "listen_addresses=127.0.0.1"),
            *("-c", f"unix_socket_directories={self._data}"),
        ]
        self._process = subprocess.Popen([self._program("postgres"), *options], cwd="/", **account())
        self._have_database()
        return self._process.wait()

    def _end(self) -> None:
        if self._process is None:
            raise SystemExit(0)
        self._process.send_signal(signal.SIGINT)  # its fast shutdown: clients are cut off, nothing is lost

    def _program(self, name: str) -> str:
        return str(Path(self._settings["binaries"]) / name)

    def _initialize(self) -> None:
        """Make the cluster beside its place and move it there, so that one cut off halfway is made anew."""
        directory = self._data.parent
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if user := account():
            os.chown(directory, user["user"], user["group"])
        if self._data.exists():
            return
        new = directory / "new"
        shutil.rmtree(new, ignore_errors=True)
        arguments = ["--pgdata", str(new), "--username", "postgres", "--encoding", "UTF8", "--locale", "C.UTF-8"]
        ways_in = ["--auth-local", "trust", "--auth-host", "scram-sha-256"]
        subprocess.run([self._program("initdb"), *arguments, *ways_in], cwd="/", check=True, **account())
        new.rename(self._data)

    def _have_database(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        command = [self._program("psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--username=postgres"]
        command += ["--host", str(self._data), "--port", str(self._settings["port"]), "--dbname=postgres"]
        script = ROLE_AND_DATABASE.format(**self._settings).encode()
        while subprocess.run(command, input=script, cwd="/", check=False, **account()).returncode:
            if time.monotonic() > deadline:
                raise SystemExit(f"PostgreSQL is not ready after {START_SECONDS:.0f} s")
            time.sleep(0.2)


if __name__ == "__main__":
    raise SystemExit(Server(yaml.safe_load(Path(sys.argv[1]).read_text())).run())

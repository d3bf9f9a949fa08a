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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from meshwright_demo.postgresql import START_SECONDS, Login, ServerError, have_database, make_cluster

UNPRIVILEGED = "postgres"
"""Whom the server runs as when we are root, which it refuses to run as."""


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
        self._binaries = Path(settings["binaries"])
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
        self._process = subprocess.Popen([str(self._binaries / "postgres"), *options], cwd="/", **account())
        settings = self._settings
        login = Login(settings["database"], settings["user"], settings["password"])
        try:
            have_database(self._process, self._data, settings["port"], login, START_SECONDS)
        except ServerError as error:
            raise SystemExit(str(error)) from None
        return self._process.wait()

    def _end(self) -> None:
        if self._process is None:
            raise SystemExit(0)
        self._process.send_signal(signal.SIGINT)  # its fast shutdown: clients are cut off, nothing is lost

    def _initialize(self) -> None:
        directory = self._data.parent
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if user := account():
            os.chown(directory, user["user"], user["group"])
        make_cluster(self._binaries, self._data, account())


if __name__ == "__main__":
    raise SystemExit(Server(yaml.safe_load(Path(sys.argv[1]).read_text())).run())

"""The two proxies: each runs the cases of one feature, one after the other, on one document."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from tests.parity import stats
from tests.parity.backends import Servers
from tests.parity.case_files import Case, CaseFile
from tests.parity.certificates import Certificates
from tests.parity.clients import LIMIT, converse
from tests.parity.configuration import MARK, MARKER, bootstrap, with_ports
from tests.parity.outcomes import Normal, Outcome, in_order
from tests.support.envoy_process import EnvoyProcess
from tests.support.ports import free_port
from tests.support.raw_http import Client

ROOT = Path(__file__).parents[2]
_CLIENT = re.compile(r"\bclient=127\.0\.0\.1:([0-9]+)")
"""Whose line it is: every log says so somewhere."""
START = 60.0
"""Seconds after which a proxy is thought not to start."""


class Started(Protocol):
    """A proxy that runs; ``admin`` is the port of its administration."""

    admin: int

    def close(self) -> None: ...


class OurProcess:
    """Our supervisor and its worker, with a document as bootstrap."""

    def __init__(self, folder: Path, document: dict[str, Any]) -> None:
        self.admin = free_port()
        node = {"id": "a", "cluster": "a", "metadata": {"MESHWRIGHT": {"concurrency": 1}}}
        document["node"] = {**document.get("node", {}), **node}
        document["admin"] = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": self.admin}}}
        file, self.log, told = folder / "bootstrap.json", folder / "proxy.log", folder / "told"
        file.write_text(json.dumps(document))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices, self.log.open("wb") as log:
            notices.bind(str(told))
            notices.settimeout(START)
            environment = {**os.environ, "NOTIFY_SOCKET": str(told), "PYTHONPATH": str(ROOT)}
            command = [sys.executable, "-m", "mesh_proxy", "run", "--config", str(file)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, env=environment)
            ended = threading.Thread(target=self._tell_the_end, args=(str(told),), daemon=True)
            ended.start()
            try:
                while b"READY=1" not in (said := notices.recv(4096)):
                    assert said != b"ENDED", self.log.read_text()
            except BaseException:
                self.close()
                raise

    def _tell_the_end(self, told: str) -> None:
        """A proxy that ends at once is not waited for."""
        self.process.wait()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices, contextlib.suppress(OSError):
            notices.sendto(b"ENDED", told)

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(LIMIT)


Start = Callable[[Path, dict[str, Any]], Started]


def envoy_start(program: Path) -> Start:
    """How the real one is started."""
    return lambda folder, document: EnvoyProcess(program, folder, {"node": {"id": "a", "cluster": "a"}, **document})


Through = Callable[[Case, int], AbstractContextManager[int]]
"""What stands between a client and a port for one case; gives the port to dial."""


def nothing_between(_case: Case, port: int) -> AbstractContextManager[int]:
    """The client dials the port itself."""
    return contextlib.nullcontext(port)


class Side:
    """One proxy, with servers of its own behind it. Use as a context manager."""

    def __init__(self, start: Start, folder: Path, files: Sequence[CaseFile], certificates: Certificates) -> None:
        self._stack = contextlib.ExitStack()
        self._log = folder / "access.log"
        self._certificates = certificates
        self._servers = Servers(certificates.servers())
        self._stack.callback(self._servers.close)
        self.ports = {**self._servers.ports, f"listener {MARKER}": free_port()}
        self.ports |= {f"listener {file.key}": free_port() for file in files}
        self._normal = Normal(self.ports)
        more = {
            stats.named(name, file.key, self.ports[f"listener {file.key}"])
            for file in files
            for case in file.cases
            for name in case.stats
        }
        self._stats = stats.page(sorted(more))
        self._markers = 0
        self._clients: dict[int, list[int]] = {}
        try:
            self._proxy = start(folder, bootstrap(files, self.ports, self._log))
            self._stack.callback(self._proxy.close)
            self._marking = self._stack.enter_context(Client(self.ports[f"listener {MARKER}"]))
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> "Side":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, cases: Sequence[tuple[CaseFile, Case]], through: Through = nothing_between) -> list[Outcome]:
        """What comes of each. ``through`` may put something between the client of a case and the listener's port."""
        before = self._counted()
        outcomes, normals = [], []
        for file, case in cases:
            own = self.ports[f"listener {file.key}"]
            with through(case, own) as port:
                outcome, normal = self._converse(file, case, port)
            after = self._counted()
            outcome |= stats.grown(file.key, own, before, after, case.stats)
            before = after
            outcomes.append(outcome)
            normals.append(normal)
        lines = self._lines()
        for place, (outcome, normal) in enumerate(zip(outcomes, normals, strict=True), 1):
            outcome |= normal.logged(lines.get(place, ()))
        return outcomes

    def _converse(self, file: CaseFile, case: Case, port: int) -> tuple[Outcome, Normal]:
        script = self._servers.script
        script.begin(case.servers)
        case = replace(case, said=with_ports(case.said, self.ports))
        talked = converse(case, port, self._certificates.client)
        script.wait(case.requests or int(_hangs(case)), LIMIT)
        self._markers += 1
        self._clients.setdefault(talked.client, []).append(self._markers)
        assert self._marking.get(f"/{self._markers}").status == 200
        seen = sorted(script.seen, key=lambda one: one.server) if case.requests else list(script.seen)
        normal = self._normal.call(in_order(seen)) if file.anonymous else self._normal
        return normal.heard(talked.heard) | normal.seen(seen), normal

    def _counted(self) -> Mapping[str, int]:
        with Client(self._proxy.admin) as client:
            return stats.read(client.get(self._stats, host="localhost").body)

    def _lines(self) -> dict[int, list[str]]:
        """The log's lines by the number of the case, when all are written. A line is its client's, whenever it came."""
        text = _Growing(self._log).until(f"{MARK}/{self._markers}\n")
        found: dict[int, list[str]] = {}
        now = 1
        for line in text.split("\n"):
            if line.startswith(MARK):
                now = int(line.removeprefix(f"{MARK}/")) + 1
                continue
            if not line:
                continue
            client = _CLIENT.search(line)
            places = [] if client is None else self._clients.get(int(client[1]), [])
            place = max((place for place in places if place <= now), default=places[0] if places else now)
            found.setdefault(place, []).append(line)
        return found


def _hangs(case: Case) -> bool:
    """Whether a server gives no answer: then nothing tells that it has been asked."""
    return any("hang" in answer or "talk" in answer for answers in case.servers.values() for answer in answers)


class _Growing:
    """A file that somebody writes to."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def until(self, mark: str) -> str:
        """Its content when ``mark`` stands in it."""
        waiting = threading.Event()
        for _ in range(200):
            text = self._path.read_text("latin-1") if self._path.exists() else ""
            if mark in text:
                return text
            waiting.wait(0.05)
        raise AssertionError(f"{self._path} never had {mark!r}")


class Both(NamedTuple):
    """What comes of the same cases on both."""

    envoy: list[Outcome]
    ours: list[Outcome]


def run_on_both(
    program: Path,
    folder: Path,
    files: Sequence[CaseFile],
    cases: Sequence[tuple[CaseFile, Case]],
    through: Through = nothing_between,
    certificates: Certificates | None = None,
) -> Both:
    """Starts both side by side, and runs the cases on both at once. Raises what went wrong in either. ``certificates`` are
    those in ``folder``, where they are made already."""
    certificates = certificates or Certificates(folder)
    starts = {"envoy": envoy_start(program), "ours": OurProcess}
    found: dict[str, list[Outcome]] = {}
    failures: list[BaseException] = []

    def run(name: str) -> None:
        try:
            own = folder / name
            own.mkdir()
            with Side(starts[name], own, files, certificates) as side:
                found[name] = side.run(cases, through)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(name,)) for name in starts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return Both(found["envoy"], found["ours"])

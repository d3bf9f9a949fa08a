"""``make bench-control``: how long a change takes to the last of many proxies, and what the control plane needs for it.

A mesh of ServiceEntries, each with five endpoints, in the control plane's directory; clients of the delta protocol in
several processes, that acknowledge and keep nothing. All share this machine's cores with the control plane. A change is the
moment when its file is written; it is there when the last client has been sent a response of the type in question.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import yaml

from meshwright_tools.bench import clients
from meshwright_tools.bench.measure import CommandError
from meshwright_tools.checkout import Checkout

GOALS = {"start": 3.0, "connect": 5.0, "policy, 100": 0.8, "policy, 1000": 4.0, "endpoint, 1000": 0.5, "memory": 500.0}
"""Seconds, and MB of resident memory, for 1,000 services."""
ENDPOINTS = 5
PROCESSES = 4
LIMIT = 180.0
PORT = 8080


def run(checkout: Checkout, services: int) -> int:
    """Measure and print. Ends with 1 when a goal was missed that was set for this many services."""
    met = True
    print(time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()))
    print(f"{platform.platform()}, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}")
    print(
        f"{services} services of {ENDPOINTS} endpoints; clients in {PROCESSES} processes on the same {os.cpu_count()} cores\n"
    )
    with tempfile.TemporaryDirectory(prefix="meshwright-bench-") as directory:
        plane = Plane(checkout, Path(directory), services)
        met &= _row("start", plane.start(), services)
        try:
            for count in (100, 1000):
                with _clients(plane, count, services) as crowd:
                    met &= _row("connect" if count == 100 else "connect, 1000", crowd.connected, services)
                    met &= _row(f"policy, {count}", crowd.until(clients.ROUTE, plane.change_policy()), services)
                    met &= _row(f"endpoint, {count}", crowd.until(clients.ENDPOINT, plane.change_endpoint()), services)
                    if count == 1000:
                        met &= _row("memory", plane.megabytes(), services)
                    print(f"lost {crowd.lost} of {count}")
                    met &= crowd.lost == 0
        finally:
            plane.end()
    return 0 if met or services != 1000 else 1


def _row(name: str, value: float, services: int) -> bool:
    goal = GOALS.get(name) if services == 1000 else None
    told = "" if goal is None else f"{goal:8.2f} {'met' if value <= goal else 'MISSED'}"
    print(f"{name:24}{value:8.2f} {told}", flush=True)
    return goal is None or value <= goal


class Plane:
    """A control plane with the mesh in its directory."""

    def __init__(self, checkout: Checkout, folder: Path, services: int) -> None:
        self._python = checkout.root / ".venv" / "bin" / "python"
        self._folder = folder
        self.address = f"127.0.0.1:{_free_port()}"
        self._policies = folder / "state" / "policies" / "bench"
        self._policies.mkdir(parents=True)
        for number in range(services):
            self._write(f"serviceentry.default.svc{number}.yaml", entry(number))
        self._count = 0
        settings = {
            "xds_address": self.address,
            "monitoring_address": f"127.0.0.1:{_free_port()}",
            "socket": str(folder / "control.sock"),
            "state_dir": str(folder / "state"),
            "log_level": "error",
        }
        (folder / "control.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")

    def _write(self, name: str, value: dict[str, Any]) -> float:
        made = self._folder / "new"
        made.write_text(yaml.safe_dump(value), encoding="utf-8")
        made.replace(self._policies / name)
        return time.monotonic()

    def start(self) -> float:
        """Seconds until it serves."""
        path = self._folder / "notify"
        began = time.monotonic()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
            notified.bind(str(path))
            notified.settimeout(LIMIT)
            command = [str(self._python), "-m", "mesh_control", "--config", str(self._folder / "control.yml")]
            self._process = subprocess.Popen(command, env={**os.environ, "NOTIFY_SOCKET": str(path)})
            notified.recv(4096)
        return time.monotonic() - began

    def end(self) -> None:
        """Without ceremony."""
        self._process.kill()
        self._process.wait()

    def change_policy(self) -> float:
        """Writes a VirtualService that is not there yet, or another timeout; the moment."""
        self._count += 1
        host = "svc0.default.svc.cluster.local"
        spec = {"hosts": [host], "http": [{"route": [{"destination": {"host": host}}], "timeout": f"{self._count}s"}]}
        return self._write("virtualservice.default.svc0.yaml", _object("VirtualService", "svc0", spec))

    def change_endpoint(self) -> float:
        """Gives one service another address; the moment."""
        self._count += 1
        return self._write("serviceentry.default.svc1.yaml", entry(1, self._count))

    def megabytes(self) -> float:
        """Resident memory."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8")
        return int(status.partition("VmRSS:")[2].split()[0]) / 1000


def entry(number: int, shift: int = 0) -> dict[str, Any]:
    """A service and its endpoints."""
    hosts = [f"10.{64 + place}.{number >> 8}.{(number + shift) & 255}" for place in range(ENDPOINTS)]
    spec = {
        "hosts": [f"svc{number}.default.svc.cluster.local"],
        "addresses": [f"172.16.{number >> 8}.{number & 255}"],
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "ports": [{"number": PORT, "name": "http", "protocol": "HTTP"}],
        "endpoints": [{"address": address} for address in hosts],
    }
    return _object("ServiceEntry", f"svc{number}", spec)


def _object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


class Crowd:
    """Clients in some processes."""

    def __init__(self, processes: list[subprocess.Popen[str]], count: int, began: float) -> None:
        self._processes = processes
        self._count = count
        self.lost = 0
        kinds = (clients.CLUSTER, clients.ENDPOINT, clients.LISTENER, clients.ROUTE)
        self.connected = max(self.until(kind, began) for kind in kinds)

    def until(self, kind: str, since: float) -> float:
        """Seconds from a moment until the last client has been sent something of a type."""
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            answers = [self._ask(process, since) for process in self._processes]
            self.lost = sum(answer["lost"] for answer in answers)
            if sum(answer[kind]["count"] for answer in answers) == self._count:
                return float(max(answer[kind]["last"] for answer in answers)) - since
            time.sleep(0.2)  # asking costs the clients time
        raise CommandError(f"after {LIMIT:g} s not every client has been sent {kind}")

    def _ask(self, process: subprocess.Popen[str], since: float) -> dict[str, Any]:
        _pipe(process.stdin).write(f"{since}\n")
        _pipe(process.stdin).flush()
        return dict(json.loads(_pipe(process.stdout).readline()))


@contextmanager
def _clients(plane: Plane, count: int, services: int) -> Iterator[Crowd]:
    names = {
        clients.ENDPOINT: [f"outbound|{PORT}||svc{n}.default.svc.cluster.local" for n in range(services)],
        clients.ROUTE: [str(PORT)],
    }
    command = [sys.executable, "-m", "meshwright_tools.bench.clients", plane.address]
    began, processes = time.monotonic(), []
    try:
        for number in range(PROCESSES):
            share = count // PROCESSES
            arguments = [*command, str(count * 10 + number * share), str(share)]
            process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            _pipe(process.stdin).write(json.dumps(names) + "\n")
            _pipe(process.stdin).flush()
            processes.append(process)
        yield Crowd(processes, count, began)
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:  # only without PIPE
        raise CommandError("a process without pipes")
    return pipe


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""``make bench-control``: how long a change takes to the last of many proxies, and what the control plane needs for it.

A mesh of ServiceEntries, each with five endpoints, in the control plane's directory; clients of the delta protocol in
several processes, that acknowledge and keep nothing. All share this machine's cores with the control plane. A change is the
moment when its file is written; it is there when the last client has been sent a response of the type in question.
An istiod (:mod:`meshwright_tools.bench.istio`) gets the same files and the same clients.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, ClassVar

import yaml
from mesh_api.xds.type_urls import ADS_ORDER, ENDPOINT, ROUTE

from meshwright_tools.bench.empty_cluster import empty_cluster
from meshwright_tools.bench.istio import ISTIOD
from meshwright_tools.bench.measure import CommandError
from meshwright_tools.checkout import Checkout

GOALS = {
    "start": 3.0,
    "connect, 100": 5.0,
    "lost, 1000": 0.0,
    "policy, 100": 0.8,
    "policy, 1000": 4.0,
    "endpoint, 1000": 0.5,
    "memory": 500.0,
}
"""Seconds, and MB of resident memory, for 1,000 services."""
ENDPOINTS = 5
CROWDS = (100, 1000)
"""Clients at once."""
PROCESSES = 4
LIMIT = 180.0
PORT = 8080


def run(checkout: Checkout, services: int) -> int:
    """Measure and print, in turns with an istiod where there is one. Ends with 1 when a goal was missed that was set for this
    many services."""
    print(time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()))
    print(f"{platform.platform()}, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}")
    print(
        f"{services} services of {ENDPOINTS} endpoints; clients in {PROCESSES} processes on the same {os.cpu_count()} cores"
    )
    program = ISTIOD.found(checkout.cache)
    print("no istiod to compare with: `make istiod`, or name one in ISTIOD\n" if program is None else "")
    with tempfile.TemporaryDirectory(prefix="meshwright-bench-") as directory, ExitStack() as running:
        planes: list[Plane] = [OurPlane(checkout, Path(directory) / "ours", services)]
        if program is not None:
            kubeconfig = running.enter_context(empty_cluster())
            planes.append(IstiodPlane(program, Path(directory) / "istiod", services, kubeconfig))
        table = Table([plane.called for plane in planes], services)
        table.row("start", [running.enter_context(plane.started()) for plane in planes])
        for count in CROWDS:
            # One after another, for they share the cores.
            found = [measured(plane, count, services) for plane in planes]
            for name in found[0]:
                table.row(name, [rows[name] for rows in found])
        table.row("memory", [plane.megabytes() for plane in planes])
    return 0 if table.met or services != 1000 else 1


def measured(plane: Plane, count: int, services: int) -> dict[str, float]:
    """What the clients of a crowd wait for."""
    with crowd_of(plane, count, services) as crowd:
        return {
            f"connect, {count}": crowd.connected,
            f"policy, {count}": crowd.until(ROUTE, plane.change_policy()),
            f"endpoint, {count}": crowd.until(ENDPOINT, plane.change_endpoint()),
            f"lost, {count}": float(crowd.lost),
        }


class Table:
    """Rows of numbers, a column for each control plane; with two, the ratio of the second to the first, and ours is the
    first."""

    def __init__(self, columns: list[str], services: int) -> None:
        self.met = True
        self._goals = GOALS if services == 1000 else {}
        ratio = [f"{columns[1]}/{columns[0]}"] if len(columns) == 2 else []
        print("".join([f"{'':18}", *(f"{name:>14}" for name in [*columns, *ratio]), f"{'goal':>9}"]))

    def row(self, name: str, values: list[float]) -> None:
        """One more, printed at once."""
        goal, (ours, *others) = self._goals.get(name), values
        told = "" if goal is None else f"{goal:9.2f} {'met' if ours <= goal else 'MISSED'}"
        ratios = [f"{other / ours:14.1f}" if ours else f"{'':14}" for other in others]
        print("".join([f"{name:18}", *(f"{value:14.2f}" for value in values), *ratios, told]), flush=True)
        self.met &= goal is None or ours <= goal


class Plane:
    """A control plane with the mesh in a directory."""

    called: ClassVar[str]

    def __init__(self, folder: Path, policies: Path, services: int) -> None:
        self._folder = folder
        self.address = f"127.0.0.1:{_free_port()}"
        self._policies = policies
        self._policies.mkdir(parents=True)
        for number in range(services):
            self._write(f"serviceentry.default.svc{number}.yaml", entry(number))
        self._count = 0

    def _write(self, name: str, value: dict[str, Any]) -> float:
        made = self._folder / "new"
        made.write_text(yaml.safe_dump(value), encoding="utf-8")
        made.replace(self._policies / name)
        return time.monotonic()

    def _begin(self) -> subprocess.Popen[bytes]:
        """Returns when it serves."""
        raise NotImplementedError

    @contextmanager
    def started(self) -> Iterator[float]:
        """With it running; the seconds until it serves."""
        began = time.monotonic()
        self._process = self._begin()
        try:
            yield time.monotonic() - began
        finally:
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


class OurPlane(Plane):
    """``mesh-control``."""

    called = "ours"

    def __init__(self, checkout: Checkout, folder: Path, services: int) -> None:
        super().__init__(folder, folder / "state" / "policies" / "bench", services)
        python = checkout.root / ".venv" / "bin" / "python"
        settings = {
            "xds_address": self.address,
            "monitoring_address": f"127.0.0.1:{_free_port()}",
            "socket": str(folder / "control.sock"),
            "state_dir": str(folder / "state"),
            "log_level": "error",
        }
        (folder / "control.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        self._command = [str(python), "-m", "mesh_control", "--config", str(folder / "control.yml")]
        self._environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        # What was installed is compiled to bytecode; in a checkout the first to run does that.
        subprocess.run([*self._command, "--check"], env=self._environment, check=True)

    def _begin(self) -> subprocess.Popen[bytes]:
        path = self._folder / "notify"
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
            notified.bind(str(path))
            notified.settimeout(LIMIT)
            process = subprocess.Popen(self._command, env={**self._environment, "NOTIFY_SOCKET": str(path)})
            notified.recv(4096)
        return process


class IstiodPlane(Plane):
    """``pilot-discovery`` whose configuration is the directory; its cluster is empty, and it issues no certificates."""

    called = "istiod"

    def __init__(self, program: Path, folder: Path, services: int, kubeconfig: str) -> None:
        super().__init__(folder, folder / "config", services)
        self._program = program
        (folder / "kubeconfig").write_text(kubeconfig, encoding="utf-8")

    def _begin(self) -> subprocess.Popen[bytes]:
        web, monitoring = (f"127.0.0.1:{_free_port()}" for _ in range(2))
        (self._folder / "mesh.yaml").write_text(
            "{accessLogFile: /dev/stdout, enableTracing: false}\n", encoding="utf-8"
        )
        command = [str(self._program), "discovery", "--configDir", str(self._policies)]
        command += ["--registries", "Kubernetes", "--kubeconfig", str(self._folder / "kubeconfig")]
        command += ["--grpcAddr", self.address, "--httpAddr", web, "--monitoringAddr", monitoring]
        command += ["--secureGRPCAddr", "", "--httpsAddr", "", "--meshConfig", str(self._folder / "mesh.yaml")]
        command += ["--log_output_level", "default:error"]
        settings = {"ENABLE_CA_SERVER": "false", "PILOT_CERT_PROVIDER": "none", "PILOT_ENABLE_STATUS": "false"}
        with (self._folder / "log").open("wb") as log:
            process = subprocess.Popen(
                command, env={**os.environ, **settings}, stdout=log, stderr=log, cwd=self._folder
            )
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{web}/ready", timeout=1):
                return process
            time.sleep(0.02)
        process.kill()
        process.wait()
        raise CommandError(f"istiod does not serve: {(self._folder / 'log').read_text(errors='replace')[-2000:]}")


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
        self.connected = max(self.until(kind, began) for kind in ADS_ORDER)

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
def crowd_of(plane: Plane, count: int, services: int) -> Iterator[Crowd]:
    """So many clients, each of which has been sent everything once."""
    names = {
        ENDPOINT: [f"outbound|{PORT}||svc{n}.default.svc.cluster.local" for n in range(services)],
        ROUTE: [str(PORT)],
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

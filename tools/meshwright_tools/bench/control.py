"""``make bench-control``: how long a change takes to the last of many proxies, and what the control plane needs for it.

A mesh of ServiceEntries, each with five endpoints, in the control plane's directory, or the Services and pods of a cluster;
clients of the delta protocol in several processes, that acknowledge and keep nothing. All share this machine's cores with the
control plane. A change is the moment when its file is written, or when the API server is asked for it; it is there when the
last client has been sent a response of the type in question. Each is made three times, and the middle one counts. An istiod
(:mod:`meshwright_tools.bench.istio`) gets the same mesh and the same clients.
"""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mesh_api.xds.type_urls import ENDPOINT, ROUTE

from meshwright_tools.bench import cluster
from meshwright_tools.bench.crowd import PROCESSES, Crowd, gathered
from meshwright_tools.bench.empty_cluster import empty_cluster
from meshwright_tools.bench.istio import ISTIOD
from meshwright_tools.bench.meshes import ENDPOINTS, FileMesh, Mesh
from meshwright_tools.bench.planes import IstiodPlane, OurPlane, Plane
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
CROWDS = (100, 1000)
"""Clients at once."""
CHANGES = 3


def run(checkout: Checkout, services: int) -> int:
    """Measure with files and print, in turns with an istiod where there is one. Ends with 1 when a goal was missed that was
    set for this many services."""
    program = _told(checkout, f"{services} services of {ENDPOINTS} endpoints")
    with tempfile.TemporaryDirectory(prefix="meshwright-bench-") as directory, ExitStack() as running:
        ours, theirs = Path(directory) / "ours", Path(directory) / "istiod"
        both: list[tuple[Plane, Mesh]] = [
            (OurPlane(checkout, ours), FileMesh(ours / "state" / "policies" / "bench", services))
        ]
        if program is not None:
            mesh, kubeconfig = FileMesh(theirs / "config", services), running.enter_context(empty_cluster())
            both.append((IstiodPlane(program, theirs, kubeconfig, theirs / "config"), mesh))
        table = Table([plane.called for plane, _ in both], services)
        table.row("start", [running.enter_context(plane.started()) for plane, _ in both])
        for count in CROWDS:
            # One after another, for they share the cores.
            table.rows([measured(plane, mesh, count) for plane, mesh in both])
        table.row("memory", [plane.megabytes() for plane, _ in both])
    return 0 if table.met or services != 1000 else 1


def run_in_cluster(checkout: Checkout, services: int) -> int:
    """The same with the Services and pods of a cluster. As all control planes read the same one, only one of them runs at a
    time, anew for each crowd."""
    program = _told(checkout, f"{services} Services and about as many pods of a cluster whose nodes kwok plays")
    with tempfile.TemporaryDirectory(prefix="meshwright-bench-") as directory, cluster.running(services) as mesh:
        section = {"kubeconfig": str(mesh.kubeconfig), "identity": "bench", "lease_namespace": "istio-system"}
        planes: list[Plane] = [OurPlane(checkout, Path(directory) / "ours", {"kubernetes": section})]
        if program is not None:
            # The names of files in it are from where it lies.
            kubeconfig = mesh.kubeconfig.read_text(encoding="utf-8")
            planes.append(IstiodPlane(program, mesh.kubeconfig.parent, kubeconfig))
        table = Table([plane.called for plane in planes], services)
        table.rows([_beginning(plane, mesh) for plane in planes])
        for count in CROWDS:
            table.rows([_anew(plane, mesh, count) for plane in planes])
    return 0 if table.met or services != 1000 else 1


def _told(checkout: Checkout, what: str) -> Path | None:
    """Print what is measured, and on what; an istiod to compare with."""
    print(time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()))
    print(f"{platform.platform()}, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}")
    print(f"{what}; clients in {PROCESSES} processes on the same {os.cpu_count()} cores")
    program = ISTIOD.found(checkout.cache)
    print("no istiod to compare with: `make istiod`, or name one in ISTIOD\n" if program is None else "")
    return program


def _beginning(plane: Plane, mesh: Mesh) -> dict[str, float]:
    """Seconds from a control plane's start until it serves, and until a proxy that waits for it has everything."""
    with gathered(plane.address, 1, 1) as crowd:
        began = time.monotonic()
        with plane.started() as start:
            return {"start": start, "first proxy": crowd.connect(mesh.names, began)}


def _anew(plane: Plane, mesh: Mesh, count: int) -> dict[str, float]:
    """A control plane is started, measured with a crowd, and ended; with the last one, what it holds."""
    with plane.started():
        rows = measured(plane, mesh, count)
        return {**rows, "memory": plane.megabytes()} if count == CROWDS[-1] else rows


def measured(plane: Plane, mesh: Mesh, count: int) -> dict[str, float]:
    """What the clients of a crowd wait for, and seconds of the control plane's CPU time for it."""
    with crowd_of(plane, mesh, count) as (crowd, connected):
        rows = {f"connect, {count}": connected}
        for name, kind, change in (("policy", ROUTE, mesh.change_policy), ("endpoint", ENDPOINT, mesh.change_endpoint)):
            found = [_changed(plane, crowd, kind, change) for _ in range(CHANGES)]
            rows[f"{name}, {count}"] = statistics.median(wall for wall, _ in found)
            rows[f"{name} CPU, {count}"] = statistics.median(cpu for _, cpu in found)
        return {**rows, f"lost, {count}": float(crowd.lost)}


def _changed(plane: Plane, crowd: Crowd, kind: str, change: Callable[[], float]) -> tuple[float, float]:
    """Seconds until the last client of a crowd has been sent a change, and of the control plane's CPU time for it."""
    before = plane.cpu()
    wall = crowd.until(kind, change())
    return wall, plane.cpu() - before


@contextmanager
def crowd_of(plane: Plane, mesh: Mesh, count: int) -> Iterator[tuple[Crowd, float]]:
    """So many clients, each of which has been sent everything once, and the seconds that this took them from their start."""
    began = time.monotonic()
    with gathered(plane.address, count) as crowd:
        yield crowd, crowd.connect(mesh.names, began)


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

    def rows(self, found: list[dict[str, float]]) -> None:
        """Those of every control plane, by name."""
        for name in found[0]:
            self.row(name, [rows[name] for rows in found])

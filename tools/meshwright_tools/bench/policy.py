"""``make bench-policy``: how long people wait for `mesh`, beside istioctl in the same run.

One core for all. Python's bytecode is kept in a folder of the run's own, as it is where packages were installed, and every
command runs once before it is measured. Both tools read the same file and find nothing wrong in it.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from meshwright_tools.bench import corpus
from meshwright_tools.bench.istio import ISTIOCTL
from meshwright_tools.bench.measure import CommandError, Times, in_turns
from meshwright_tools.checkout import Checkout

GOALS = {"light": 0.15, "analyze": 1.5, "simulate": 2.0}
"""Seconds, for 1,000 services and 10,000 requests."""
DECISIONS = 10_000
RATIO = 2.0
"""How many times as much as with one policy a decision may cost with a thousand."""
WALKED = frozenset({"no such path"})
"""Sorts of policies of which none can be looked up: each is tested, and there is no goal."""

_SIMULATE = "import sys; from meshwright_tools.bench.policy import simulated; simulated(*sys.argv[1:])"


def run(checkout: Checkout, rounds: int, services: int, requests: int) -> int:
    """Measure and print. Ends with 1 when a goal was missed that was set for this many services and requests."""
    with tempfile.TemporaryDirectory(prefix="meshwright-bench-") as directory, _one_core():
        folder = Path(directory)
        for group in ("plain", "mixed"):
            (folder / f"{group}.yaml").write_text(corpus.objects(services, group), encoding="utf-8")
        (folder / "workloads.yaml").write_text(
            f"{corpus.objects(services)}---\n{corpus.pods(services)}", encoding="utf-8"
        )
        environment = _environment(folder)
        _heading(services, rounds)
        met = _light(checkout, rounds, environment)
        met &= _analyze(checkout, rounds, environment, folder, services)
        met &= _simulate(checkout, environment, folder, services, requests)
        met &= _decide(checkout, environment)
    return 0 if met else 1


@contextmanager
def _one_core() -> Iterator[None]:
    if not hasattr(os, "sched_setaffinity"):  # where there is no way to ask for it
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**kept, "PYTHONPYCACHEPREFIX": str(folder / "bytecode"), "HOME": str(folder)}


def _heading(services: int, rounds: int) -> None:
    print(time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()))
    print(f"{platform.platform()}, {_processor()}, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}")
    print(
        f"{services} services; best of {rounds} runs by turns on one core, whole commands, warm file cache and bytecode\n"
    )
    print(f"{'':44}{'wall s':>8}{'median':>8}{'CPU s':>8}{'goal':>7}")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _row(name: str, times: Times, goal: float | None = None) -> bool:
    met = goal is None or times.best < goal
    shown = "" if goal is None else f"{goal:7.2f} {'met' if met else 'MISSED'}"
    print(f"{name:44}{times.best:8.3f}{times.median:8.3f}{times.best_cpu:8.3f}{shown}")
    return met


def _light(checkout: Checkout, rounds: int, environment: dict[str, str]) -> bool:
    mesh = str(checkout.venv / "bin" / "mesh")
    commands = {
        "mesh --help": [mesh, "--help"],
        "mesh --version": [mesh, "--version"],
        "mesh analyze --help": [mesh, "analyze", "--help"],
        "mesh status --help": [mesh, "status", "--help"],
    }
    found = in_turns(commands, rounds, environment)
    met = [_row(name, times, GOALS["light"]) for name, times in found.items()]
    return all(met)


def _analyze(checkout: Checkout, rounds: int, environment: dict[str, str], folder: Path, services: int) -> bool:
    mesh, peer, met = str(checkout.venv / "bin" / "mesh"), ISTIOCTL.found(checkout.cache), True
    for group, each in (("plain", 3), ("mixed", 5)):
        file = str(folder / f"{group}.yaml")
        ours, theirs = f"mesh analyze, {each * services} objects ({group})", f"istioctl analyze, the same ({group})"
        commands = {ours: [mesh, "analyze", file]}
        if peer is not None:
            commands[theirs] = [str(peer), "analyze", "--use-kube=false", "--all-namespaces", file]
        found = in_turns(commands, rounds, environment)
        met &= _row(ours, found[ours], GOALS["analyze"] if group == "plain" and services == 1000 else None)
        if peer is not None:
            _row(theirs, found[theirs])
            wall, cpu = found[ours].best / found[theirs].best, found[ours].best_cpu / found[theirs].best_cpu
            print(f"{'  mesh / istioctl':44}{wall:8.2f}{'':8}{cpu:8.2f}")
    if peer is None:
        print("no istioctl to compare with: `make istioctl`, or name one in ISTIOCTL")
    return met


def _simulate(checkout: Checkout, environment: dict[str, str], folder: Path, services: int, requests: int) -> bool:
    """One process that loads the mesh and asks it; what loading takes is told apart."""
    asked = ["-c", _SIMULATE, str(folder / "workloads.yaml"), str(services), str(requests)]
    loading, first, asking, cpu = map(float, _told(checkout, environment, asked).split())
    print(f"{f'load {services * 5} objects with workloads':44}{loading:8.3f}")
    print(f"{'first simulated request':44}{first:8.3f}")
    goal = GOALS["simulate"] if (services, requests) == (1000, 10_000) else None
    return _row(f"{requests} simulated requests", Times([first + asking], [cpu]), goal)


def _told(checkout: Checkout, environment: dict[str, str], arguments: list[str]) -> str:
    """What a Python with the tools and the checkout says. Raises :class:`CommandError` when it fails."""
    tools = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**environment, "PYTHONPATH": f"{tools}:{checkout.root}"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CommandError(f"{' '.join(arguments[:2])} failed: {done.stderr[-500:]}")
    return done.stdout


def _decide(checkout: Checkout, environment: dict[str, str]) -> bool:
    """What the proxy's filter needs for a decision, with one policy and with a thousand of its sort."""
    told = json.loads(_told(checkout, environment, ["-m", "meshwright_tools.bench.decisions", str(DECISIONS)]))
    print(
        f"\n{f'{DECISIONS} decisions, CPU us of each':32}{'1 policy':>12}{'1000 policies':>15}{'ratio':>8}{'goal':>7}"
    )
    met = True
    for sort, (one, many) in told.items():
        good = sort in WALKED or many / one <= RATIO
        goal = "" if sort in WALKED else f"{RATIO:7.2f} {'met' if good else 'MISSED'}"
        print(f"{sort:32}{one:12.2f}{many:15.2f}{many / one:8.2f}{goal}")
        met &= good
    return met


def simulated(file: str, services: str, count: str) -> None:
    """In a process of its own: print the seconds of loading, of the first request, of the others, and their CPU time."""
    from mesh_simulation import Mesh, Request, simulate

    gc.set_threshold(200_000, 50, 100)  # as the command `mesh` does; with Python's own it takes some 0.4 s more
    began = time.perf_counter()
    mesh = Mesh.load(file)
    loaded, used = time.perf_counter(), time.process_time()
    made = [
        Request(source, url, headers=headers) for source, url, headers in corpus.requests(int(services), int(count))
    ]
    simulate(mesh, made[0])
    first = time.perf_counter()
    for request in made[1:]:
        simulate(mesh, request)
    ended = time.perf_counter()
    print(loaded - began, first - loaded, ended - first, time.process_time() - used)

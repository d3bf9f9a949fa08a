"""What this machine is and has. Reads and tries; every try is undone at once."""

from __future__ import annotations

import ipaddress
import os
import platform
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from meshwright_tools import machine, pulumi_cli, pythons, system_packages
from meshwright_tools.checkout import Checkout
from meshwright_tools.doctor.certificates import Certificate, certificates
from meshwright_tools.progress import StepError
from meshwright_tools.system_packages import SystemPackage

LAPTOP_PORTS = (15010, 15014, 15432, 18080)
"""Ports of loopback that the stack laptop takes: control plane, its debug port, PostgreSQL, ingress gateway."""

LOCAL_NETWORK = "10.77.0.0/24"
"""The default network of the stack local's machines."""

GIB = 1 << 30


@dataclass(frozen=True)
class Facts:
    """Answers; None where a thing is not there. Reasons (``why_no_...``) are None where the thing is possible."""

    system: str
    distribution: str
    root: bool
    apt: bool
    """Whether setup may install packages."""
    python: str | None
    python_has_venv: bool
    git: str | None
    go: str | None
    pulumi: str | None
    ssh: str | None
    initdb: str | None
    qemu: str | None
    kvm: bool
    cores: int
    memory: float
    """GiB that are available."""
    disk: float
    """GiB free where the checkout lies."""
    cache_disk: float
    """GiB free where the cache lies."""
    cgroup: str
    """``v1``, ``v2`` or ``none``."""
    controllers: frozenset[str]
    why_no_processes_apart: str | None
    why_no_network_namespace: str | None
    why_no_overlay: str | None
    why_no_nf_tables: str | None
    ports_in_use: tuple[int, ...]
    network_in_use: str | None
    """The route that overlaps :data:`LOCAL_NETWORK`."""
    missing_packages: tuple[SystemPackage, ...]
    certificates: tuple[Certificate, ...] = ()
    """Of proxies that are here."""
    now: float = 0.0
    """Seconds since 1970."""


def gather(checkout: Checkout) -> Facts:
    """Look at this machine."""
    python = _python()
    cgroup, controllers = cgroups(Path("/sys/fs/cgroup"))
    unshare = shutil.which("unshare") and platform.system() == "Linux" and os.geteuid() == 0
    denied = None if unshare else "needs root on Linux, with util-linux"
    cache = next(path for path in (checkout.cache, *checkout.cache.parents) if path.exists())
    return Facts(
        system=platform.system(),
        distribution=_distribution(),
        root=os.geteuid() == 0,
        apt=system_packages.can_install(),
        python=f"{python.version} ({python.path})" if python else None,
        python_has_venv=bool(python and (python.has_venv or shutil.which("uv"))),
        git=_says("git", "--version"),
        go=_says("go", "env", "GOVERSION"),
        pulumi=_pulumi(checkout),
        ssh=_says("ssh", "-V"),
        initdb=_initdb(),
        qemu=shutil.which("qemu-system-x86_64"),
        kvm=os.access("/dev/kvm", os.R_OK | os.W_OK),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory=_available_memory(),
        disk=shutil.disk_usage(checkout.root).free / GIB,
        cache_disk=shutil.disk_usage(cache).free / GIB,
        cgroup=cgroup,
        controllers=controllers,
        why_no_processes_apart=denied or machine.why_no_processes_apart(),
        why_no_network_namespace=denied or machine.why_no_network_namespace(),
        why_no_overlay=denied or machine.why_no_overlay(),
        why_no_nf_tables=denied or machine.why_no_nf_tables(),
        ports_in_use=ports_in_use(LAPTOP_PORTS),
        network_in_use=overlapping_route(_read("/proc/net/route"), LOCAL_NETWORK),
        certificates=certificates(),
        now=time.time(),
        missing_packages=tuple(system_packages.missing(system_packages.wanted(checkout, ("up", "test")))),
    )


def cgroups(mount: Path) -> tuple[str, frozenset[str]]:
    """The kind of control groups and the controllers that they offer."""
    unified = mount / "cgroup.controllers"
    if unified.exists():
        return "v2", frozenset(unified.read_text().split())
    names = {part for entry in mount.glob("*") if entry.is_dir() for part in entry.name.split(",")}
    known = names & {"cpu", "cpuset", "memory", "pids"}
    return ("v1", frozenset(known)) if known else ("none", frozenset())


def ports_in_use(ports: Iterable[int]) -> tuple[int, ...]:
    """Which of the ports somebody listens on, or holds, on loopback."""
    taken = []
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                taken.append(port)
    return tuple(taken)


def overlapping_route(table: str, network: str) -> str | None:
    """A route of ``/proc/net/route`` that overlaps ``network``, as text; the default route does not count."""
    wanted = ipaddress.ip_network(network)
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 8 or fields[1] == "00000000":
            continue
        address, mask = (int.from_bytes(bytes.fromhex(fields[index]), "little") for index in (1, 7))
        route = ipaddress.ip_network((address, bin(mask).count("1")), strict=False)
        if route.overlaps(wanted):
            return f"{route} on {fields[0]}"
    return None


def _python() -> pythons.Interpreter | None:
    try:
        return pythons.find()
    except StepError:
        return None


def _pulumi(checkout: Checkout) -> str | None:
    programs = pulumi_cli.find(checkout)
    return str(programs / "pulumi") if programs else None


def _says(*command: str) -> str | None:
    """The first line that a program prints, or None when it is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0] if lines else None


def _initdb() -> str | None:
    """PostgreSQL's initdb; Debian keeps it off PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return str(found[-1]) if found else shutil.which("initdb")


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _distribution() -> str:
    found = re.search(r'^PRETTY_NAME="?([^"\n]*)', _read("/etc/os-release"), re.MULTILINE)
    return found[1] if found else f"{platform.system()} {platform.release()}"


def _available_memory() -> float:
    found = re.search(r"^MemAvailable:\s*(\d+) kB", _read("/proc/meminfo"), re.MULTILINE)
    if found:
        return int(found[1]) * 1024 / GIB
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB

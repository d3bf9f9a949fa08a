"""Control groups of a machine: its limits, in every hierarchy of version 1, or in the one of version 2."""

import contextlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
PERIOD = 100_000


def is_version_2(root: Path = ROOT) -> bool:
    """Whether all controllers are in one hierarchy."""
    return (root / "cgroup.controllers").exists()


def own_path(text: str, controller: str) -> str:
    """Where a process stands in a hierarchy of version 1, by its ``/proc/PID/cgroup``."""
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return path.strip("/")
    return ""


def directories(environment: str, name: str, root: Path = ROOT, own: str | None = None) -> list[Path]:
    """Every group of a machine."""
    leaf = Path("meshwright") / environment / name
    if is_version_2(root):
        return [root / leaf]
    mine = Path("/proc/self/cgroup").read_text() if own is None else own
    found = []
    for hierarchy in sorted(path for path in root.iterdir() if path.is_dir() and not path.is_symlink()):
        # The memory controller counts for the whole tree: below our own group, its limit stays in force.
        above = own_path(mine, "memory") if hierarchy.name == "memory" else ""
        found.append(hierarchy / above / leaf)
    return found


def make(environment: str, name: str, cores: int, memory_mib: int) -> list[Path]:
    """Have the groups, with the limits; returns them."""
    groups = directories(environment, name)
    version_2 = is_version_2()
    for group in groups:
        group.mkdir(parents=True, exist_ok=True)
        if "cpuset" in group.parts:
            _inherit_cpuset(group)
    if version_2:
        _enable_controllers(groups[0])
        _limit(groups[0] / "cpu.max", f"{cores * PERIOD} {PERIOD}")
        _limit(groups[0] / "memory.max", str(memory_mib << 20))
        return groups
    for group in groups:
        _limit(group / "cpu.cfs_quota_us", str(cores * PERIOD))
        _limit(group / "memory.limit_in_bytes", str(memory_mib << 20))
    return groups


def _enable_controllers(group: Path) -> None:
    for parent in reversed(group.relative_to(ROOT).parents):
        _limit(ROOT / parent / "cgroup.subtree_control", "+cpu +memory +pids")


def _inherit_cpuset(group: Path) -> None:
    """A group of version 1's cpuset takes no process before it has processors and memory nodes."""
    root = next(parent for parent in group.parents if parent.name == "cpuset")
    for path in (*reversed([p for p in group.parents if root in p.parents]), group):
        for name in ("cpuset.cpus", "cpuset.mems"):
            if not (path / name).read_text().strip():
                (path / name).write_text((root / name).read_text())


def _limit(file: Path, value: str) -> None:
    if file.exists():
        file.write_text(value)


def join(groups: Iterable[Path]) -> None:
    """Move the calling process into the groups."""
    for group in groups:
        (group / "cgroup.procs").write_text(str(os.getpid()))


def standing(environment: str, name: str, root: Path = ROOT) -> list[Path]:
    """Every group of a machine that is there, wherever its maker stood.

    Version 1's memory group lies below that of the process which made it, and the operator's next login has another.
    """
    found = []
    for path, below, _ in os.walk(root):
        if Path(path).name == "meshwright":
            below.clear()  # what a machine makes inside itself is its own
            group = Path(path) / environment / name
            if group.is_dir():
                found.append(group)
    return sorted(found)


def remove(environment: str, name: str, seconds: float = 5.0, root: Path = ROOT) -> None:
    """Take the groups away; processes that are just ending get a moment."""
    deadline = time.monotonic() + seconds
    for group in standing(environment, name, root):
        while group.exists():
            _remove_tree(group)
            if not group.exists() or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        _remove_empty(group.parent)
        _remove_empty(group.parent.parent)


def _remove_tree(group: Path) -> None:
    for path, _, _ in os.walk(group, topdown=False):
        _remove_empty(Path(path))


def _remove_empty(group: Path) -> None:
    with contextlib.suppress(OSError):  # still in use, or gone: the caller looks
        group.rmdir()

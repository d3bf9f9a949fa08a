"""Questions about this machine that are answered by trying, each undone at once."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

PROBE_WITHIN = 20.0
"""Seconds for a probe that runs a program."""

NEEDED_PROGRAMS = ("ip", "unshare", "nsenter", "mount", "mmdebstrap", "ssh")


def why_no_namespaces() -> str | None:
    """None where machines of namespaces can be made, else the reason in a few words."""
    if platform.system() != "Linux":
        return f"the system is {platform.system()}"
    if os.geteuid() != 0:
        return "not root"
    lacking = [name for name in NEEDED_PROGRAMS if not shutil.which(name)]
    if lacking:
        return f"missing: {', '.join(lacking)}"
    return why_no_processes_apart() or why_no_network_namespace() or why_no_overlay()


def why_no_processes_apart() -> str | None:
    """Whether a process tree with mounts, name, ipc and cgroups of its own can be started."""
    command = ["unshare", "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--fork", "mount", "-t", "proc", "proc"]
    with tempfile.TemporaryDirectory(prefix="meshwright-probe-") as directory:
        return _failure([*command, directory], "unshare")


def why_no_network_namespace() -> str | None:
    """Whether a network namespace with a veth pair and a bridge can be made. Everything ends with the probe's process."""
    script = (
        "ip link set lo up && ip link add mwprobe0 type bridge && ip link add mwprobe1 type veth peer name mwprobe2"
        " && ip link set mwprobe1 master mwprobe0 && ip netns list >/dev/null"
    )
    return _failure(["unshare", "--net", "sh", "-c", script], "network namespace with veth and bridge")


def why_no_overlay(directory: Path | None = None) -> str | None:
    """Whether an overlay can be mounted over ``directory`` (default: where state is kept, /var/lib)."""
    base = directory or Path("/var/lib")
    try:
        with tempfile.TemporaryDirectory(prefix="meshwright-probe-", dir=base) as probe:
            for name in ("lower", "upper", "work", "merged"):
                Path(probe, name).mkdir()
            options = f"lowerdir={probe}/lower,upperdir={probe}/upper,workdir={probe}/work"
            mount = ["mount", "-t", "overlay", "overlay", "-o", options, f"{probe}/merged"]
            # In a mount namespace of its own, so that the mount ends with the probe.
            return _failure(["unshare", "--mount", "--propagation", "private", *mount], f"overlay under {base}")
    except OSError as error:
        return f"overlay under {base}: {error}"


def why_no_nf_tables() -> str | None:
    """Whether the kernel takes nftables rules, asked through ``nft`` in a namespace of its own."""
    if not shutil.which("nft"):
        return "nft is not installed (hosts install their own)"
    return _failure(["unshare", "--net", "nft", "add", "table", "inet", "meshwright_probe"], "nftables")


def _failure(command: list[str], what: str) -> str | None:
    """None when the command succeeds, else ``what`` and its last line of complaint."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PROBE_WITHIN, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{what}: {error}"
    if done.returncode == 0:
        return None
    complaint = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
    return f"{what}: {complaint}"

# SPDX-License-Identifier: Apache-2.0
"""The programs of a control plane, which a kubelet runs as its files in ``/etc/kubernetes/manifests`` say."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time

SETTINGS = "etc/kubernetes"
MANIFESTS, STOPPED = "manifests", "stopped-manifests"
"""Where the files stand, and where those of a control plane that was stopped do, below the settings."""
READS = {
    "etcd": ("pki/etcd/server.crt", "pki/etcd/peer.crt"),
    "kube-apiserver": (
        "pki/apiserver.crt", "pki/apiserver-kubelet-client.crt", "pki/apiserver-etcd-client.crt",
        "pki/front-proxy-client.crt",
    ),
    "kube-controller-manager": ("controller-manager.conf",),
    "kube-scheduler": ("scheduler.conf",),
}  # fmt: skip
"""Program to the certificates and logins that it reads when it begins."""
COMM = 15
"""Letters that the kernel keeps of a program's name."""
MARGIN = 1.0
"""Seconds by which two clocks of one machine may differ here."""


class PodError(RuntimeError):
    """The control plane does not do what it should; the message says which part."""


def running(root: str = "/") -> dict[str, list[tuple[int, float]]]:
    """Program to the process ids, and when each began (seconds since the epoch)."""
    with open(os.path.join(root, "proc/uptime")) as file:
        booted = time.time() - float(file.read().split()[0])
    found: dict[str, list[tuple[int, float]]] = {name: [] for name in READS}
    names = {name[:COMM]: name for name in READS}
    for entry in filter(str.isdigit, os.listdir(os.path.join(root, "proc"))):
        try:
            with open(os.path.join(root, "proc", entry, "stat")) as file:
                head, _, rest = file.read().rpartition(")")
        except OSError:  # it has ended meanwhile
            continue
        name, fields = names.get(head.partition("(")[2]), rest.split()
        if name and fields[0] != "Z":  # proc(5): the state is the third field, the start the twenty-second
            found[name].append((int(entry), booted + int(fields[19]) / os.sysconf("SC_CLK_TCK")))
    return found


def stale(root: str = "/") -> list[str]:
    """The programs that run with certificates or logins older than those in their files."""
    found = []
    for name, processes in running(root).items():
        files = [os.path.join(root, SETTINGS, file) for file in READS[name]]
        newest = max((os.lstat(file).st_ctime for file in files if os.path.exists(file)), default=0.0)
        if any(began + MARGIN < newest for _process, began in processes):
            found.append(name)
    return found


def restart(names: list[str]) -> None:
    """End programs; the kubelet begins them again."""
    for name, processes in running().items():
        for process, _began in processes if name in names else ():
            try:
                os.kill(process, signal.SIGTERM)
            except ProcessLookupError:
                continue


def ready(address: str) -> str:
    """Why the API server of this machine (``HOST:PORT``) is not ready; empty when it is."""
    command = ["kubectl", f"--kubeconfig=/{SETTINGS}/admin.conf", f"--server=https://{address}", "--request-timeout=5s"]
    done = subprocess.run([*command, "get", "--raw=/readyz"], capture_output=True, check=False)
    return done.stderr.decode(errors="replace").strip() if done.returncode else ""


def wait_ready(address: str, seconds: float) -> None:
    """Wait until every program runs, none with old files, and the API server of this machine is ready. Raises PodError."""
    deadline, answered = time.monotonic() + seconds, 0
    while True:
        absent = [name for name, processes in running().items() if not processes]
        why = f"{', '.join(absent)} not running" if absent else ready(address)
        old = stale()
        why = why or (f"{', '.join(old)} not begun anew" if old else "")
        answered = 0 if why else answered + 1
        if answered == 2:
            return
        if time.monotonic() > deadline:
            raise PodError(f"after {seconds:.0f} s the control plane of this machine is not ready: {why}")
        time.sleep(1)


def stopped(root: str = "/") -> bool:
    """Whether files of a control plane are put aside: it was stopped, and not begun again."""
    return os.path.isdir(os.path.join(root, SETTINGS, STOPPED))


def stop(seconds: float, root: str = "/") -> None:
    """Put the files of the control plane aside, and wait until its programs have ended. Raises :class:`PodError`."""
    place, aside = (os.path.join(root, SETTINGS, name) for name in (MANIFESTS, STOPPED))
    os.makedirs(aside, mode=0o700, exist_ok=True)
    for name in READS:
        file = os.path.join(place, f"{name}.yaml")
        if os.path.exists(file):
            os.replace(file, os.path.join(aside, f"{name}.yaml"))
    deadline = time.monotonic() + seconds
    while left := [name for name, processes in running(root).items() if processes]:
        if time.monotonic() > deadline:
            raise PodError(f"{', '.join(left)} still running {seconds:.0f} s after their files were put aside")
        time.sleep(0.5)


def start(root: str = "/") -> None:
    """Put the files back; the kubelet begins their programs."""
    place, aside = (os.path.join(root, SETTINGS, name) for name in (MANIFESTS, STOPPED))
    if os.path.isdir(aside):
        for name in sorted(os.listdir(aside)):
            os.replace(os.path.join(aside, name), os.path.join(place, name))
        shutil.rmtree(aside)

"""Keeps one machine running: ``python -m stacks.machines.namespaces.launcher MACHINE_DIR``.

A process of its own session. A machine that reboots is started again on the same disk; one that powers off ends the launcher.
When the launcher is killed, the kernel ends the machine with it.
"""

import ctypes
import json
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from stacks.machines.driver import MachineSpec
from stacks.machines.namespaces import cgroups, names, network

PR_SET_PDEATHSIG = 1
REBOOT = -signal.SIGHUP
"""How process 1 of a PID namespace ends when it asks for a reboot (pid_namespaces(7)); power off is SIGINT."""


class Launcher:
    """One machine."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._spec = MachineSpec(**json.loads((directory / "spec.json").read_text()))
        self._image = (directory / "image").read_text().strip()
        self._process: subprocess.Popen[bytes] | None = None
        self._ending = False

    def run(self) -> int:
        """Until power off or SIGTERM."""
        signal.signal(signal.SIGTERM, self._end)
        while not self._ending:
            code = self._boot().wait()
            sys.stderr.write(f"{self._spec.name} ended with {code}\n")
            sys.stderr.flush()
            if code != REBOOT:
                break
        return 0

    def _boot(self) -> "subprocess.Popen[bytes]":
        spec = self._spec
        network.plug_in(spec)
        groups = cgroups.make(spec.environment, spec.name, spec.cores, spec.memory_mib)
        own = names.namespace_path(names.machine_namespace(spec.environment, spec.name))
        script = Path(__file__).with_name("init.sh")
        spaces = ("--mount", "--uts", "--ipc", "--pid", "--cgroup", "--fork", "--kill-child")
        command = ["nsenter", f"--net={own}", "unshare", *spaces, "sh", str(script), str(self._directory), self._image]
        command += [spec.name, str(spec.memory_mib * 1024)]
        libc = ctypes.CDLL(None)

        def prepare() -> None:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            cgroups.join(groups)

        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=prepare)
        return self._process

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self._ending = True
        if self._process is not None and self._process.poll() is None:
            self._process.kill()


if __name__ == "__main__":
    sys.exit(Launcher(Path(sys.argv[1])).run())

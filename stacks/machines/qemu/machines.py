"""The driver: puts image, disk, networks and QEMU together."""

import json
import os
import platform
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from stacks.machines import daemon, image
from stacks.machines.driver import DriverError, MachineSpec, MachineState, NetworkSpec, Problem, Problems, pinned
from stacks.machines.qemu import boot, command, disk, kvm, network, ports
from stacks.machines.system import end, read_pid, run
from stacks.providers import progress

TOOLS = {
    command.PROGRAM: "qemu-system-x86",
    "mke2fs": "e2fsprogs",
    "mmdebstrap": "mmdebstrap",
    "unshare": "util-linux",
    "ssh-keygen": "openssh-client",
}
EMULATED = "KVM is not usable here: the machines are emulated, 10 to 40 times slower"
NETWORKS = ("user", "dgram")
LOOPBACK = "127.0.0.1"


class QemuDriver:
    """See :class:`~stacks.machines.driver.Driver`; files are kept below ``state/ENVIRONMENT``."""

    def __init__(self, state: Path) -> None:
        self._state = state.absolute()

    @property
    def notice(self) -> str:
        """See :class:`~stacks.machines.driver.Driver`. Before the first probe, nothing is known to be wrong."""
        verdict = kvm.closed() or kvm.remembered()
        return "" if verdict is None or verdict.usable else f"{EMULATED} ({verdict.reason})"

    def preflight(self, machines: Sequence[MachineSpec]) -> list[Problem]:
        """See :class:`~stacks.machines.driver.Driver`."""
        problems = Problems()
        processor = platform.machine()
        problems.need(
            processor == "x86_64",
            f"the machines have x86_64 processors, and this host's is {processor}",
            "use the driver existing",
        )
        problems.need(
            os.geteuid() == 0,
            "images of machines, with files of every owner, can only be made by root",
            "run as root, or use the stack laptop",
        )
        problems.need_tools(TOOLS)
        if shutil.which(command.PROGRAM) is not None:
            there = run(command.PROGRAM, "-netdev", "help").split()
            problems.need(
                all(kind in there for kind in NETWORKS),
                f"this {command.PROGRAM} has not all of the networks {', '.join(NETWORKS)}",
                "install QEMU 7.2 or later, built with slirp",
            )
        problems.need_memory(machines)
        return problems.found

    def ensure_network(self, wanted: NetworkSpec) -> None:
        """See :class:`~stacks.machines.driver.Driver`. The range is the machines' own affair."""
        network.ensure(self._state / wanted.environment)

    def ensure(self, machine: MachineSpec) -> MachineState:
        """See :class:`~stacks.machines.driver.Driver`."""
        say = progress.speaker(f"machine {machine.name}")
        directory = self._directory(machine.environment, machine.name)
        made = self._made(machine.environment, machine.name)
        if made is None or not machine.keeps_disk(made):
            self.delete(machine.environment, machine.name)
        elif made != machine:
            end(directory / "qemu.pid")
        network.ensure(directory.parent)
        directory.mkdir(exist_ok=True)
        # First, so that a disk is never taken for one of another specification.
        (directory / "spec.json").write_text(json.dumps(asdict(machine)))
        if not disk.exists(directory):
            tree = image.ensure(disk.recipe(machine))
            say("its disk is made")
            disk.make(machine, directory, tree)
        verdict = kvm.decide(directory / disk.KERNEL, directory / disk.INITRD, say=say)
        if read_pid(directory / "qemu.pid") is None:
            say("boots" if verdict.usable else f"boots; {EMULATED} ({verdict.reason})")
            self._start(machine, directory, verdict)
        self._await(machine, directory, verdict, say)
        state = self.read(machine)
        if state is None:
            raise DriverError(f"machine {machine.name} vanished while it was made")
        return state

    def _start(self, machine: MachineSpec, directory: Path, verdict: kvm.Verdict) -> None:
        port = ports.ensure(self._state, directory)
        key = (directory / disk.HOST_KEY).read_text().strip()
        self._known_hosts(machine.environment, machine.name).write_text(f"[{LOOPBACK}]:{port} {key}\n")
        for name in (command.CONSOLE, boot.LOG):  # a former boot's would be taken for this one's
            (directory / name).unlink(missing_ok=True)
        line = command.machine(machine, directory, ssh_port=port, kvm=verdict.usable)
        daemon.start(directory / "qemu.pid", line, log=directory / boot.LOG, directory=directory.parent)

    def _await(self, machine: MachineSpec, directory: Path, verdict: kvm.Verdict, say: kvm.Say) -> None:
        port = ports.known(directory)
        if port is None:
            raise DriverError(f"machine {machine.name} runs and its port is not known; delete {directory}")
        seconds = boot.SECONDS if verdict.usable else boot.EMULATED_SECONDS
        boot.await_ssh(machine.name, directory, (LOOPBACK, port), seconds=seconds, say=say)

    def read(self, machine: MachineSpec) -> MachineState | None:
        """See :class:`~stacks.machines.driver.Driver`."""
        directory = self._directory(machine.environment, machine.name)
        made = self._made(machine.environment, machine.name)
        if made is None:
            return None
        key = directory / disk.HOST_KEY
        known = self._known_hosts(machine.environment, machine.name)
        return MachineState(
            name=made.name,
            running=read_pid(directory / "qemu.pid") is not None,
            address=LOOPBACK,
            ssh_port=ports.known(directory) or 0,
            user=made.user,
            ssh_arguments=pinned(known),
            host_key=key.read_text().strip() if key.exists() else "",
            digest=made.digest(),
        )

    def delete(self, environment: str, name: str) -> None:
        """See :class:`~stacks.machines.driver.Driver`."""
        directory = self._directory(environment, name)
        end(directory / "qemu.pid")
        disk.remove_staging(directory)
        shutil.rmtree(directory, ignore_errors=True)
        (directory.parent / network.port(name)).unlink(missing_ok=True)
        self._known_hosts(environment, name).unlink(missing_ok=True)

    def delete_network(self, environment: str) -> None:
        """See :class:`~stacks.machines.driver.Driver`."""
        for file in (self._state / environment).glob("*/qemu.pid"):
            self.delete(environment, file.parent.name)
        network.delete(self._state / environment)
        shutil.rmtree(self._state / environment, ignore_errors=True)

    def _made(self, environment: str, name: str) -> MachineSpec | None:
        """What the machine that is there was made from."""
        file = self._directory(environment, name) / "spec.json"
        return MachineSpec(**json.loads(file.read_text())) if file.exists() else None

    def _directory(self, environment: str, name: str) -> Path:
        return self._state / environment / name

    def _known_hosts(self, environment: str, name: str) -> Path:
        return self._state / environment / f"known_hosts.{name}"

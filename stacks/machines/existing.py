"""Machines that exist already and answer SSH: nothing is made, and nothing is taken away.

A machine's host key is the one in the settings; without one, the first that it shows is remembered, and another one later
is refused.
"""

import base64
import hashlib
import json
import shutil
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from stacks.machines.driver import DriverError, MachineSpec, MachineState, NetworkSpec, Problem, Problems, pinned

TOOLS = {"ssh": "openssh-client", "ssh-keyscan": "openssh-client"}
ANSWER_SECONDS = 5


class ExistingDriver:
    """See :class:`~stacks.machines.driver.Driver`; only what is remembered of machines is kept, below ``state``."""

    notice = ""

    def __init__(self, state: Path) -> None:
        self._state = state

    def preflight(self, machines: Sequence[MachineSpec]) -> list[Problem]:
        """See :class:`~stacks.machines.driver.Driver`. Whether they answer is asked when each is taken over."""
        problems = Problems()
        problems.need_tools(TOOLS)
        for machine in machines:
            parts = (machine.host_key or "ssh-ed25519 AAAA").split()
            problems.need(
                len(parts) >= 2 and parts[0] == "ssh-ed25519",
                f"machine {machine.name}: host_key {machine.host_key!r} is no ed25519 key",
                "give it as `ssh-ed25519 AAAA...`, as /etc/ssh/ssh_host_ed25519_key.pub on the machine has it",
            )
        return problems.found

    def ensure_network(self, network: NetworkSpec) -> None:
        """There is one already."""

    def ensure(self, machine: MachineSpec) -> MachineState:
        """Look whether it answers with the right host key. Raises :class:`DriverError`."""
        shown = host_key(machine)
        known = self._known(machine)
        expected = " ".join((machine.host_key or known.get("host_key", shown)).split()[:2])
        if shown != expected:
            raise DriverError(
                f"machine {machine.name} ({machine.address}:{machine.ssh_port}) shows the host key {fingerprint(shown)} "
                f"and not {fingerprint(expected)}; if it was set up anew, set machines.nodes.{machine.name}.host_key"
            )
        file = self._file(machine.environment, machine.name)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.write_text(json.dumps({"spec": asdict(machine), "host_key": shown}))
        name = machine.address if machine.ssh_port == 22 else f"[{machine.address}]:{machine.ssh_port}"
        self._known_hosts(machine.environment, machine.name).write_text(f"{name} {shown}\n")
        return self._state_of(machine, running=True, key=shown)

    def read(self, machine: MachineSpec) -> MachineState | None:
        """See :class:`~stacks.machines.driver.Driver`; a machine that does not answer exists and does not run."""
        known = self._known(machine)
        if not known:
            return None
        return self._state_of(machine, running=answers(machine), key=str(known["host_key"]))

    def delete(self, environment: str, name: str) -> None:
        """Forget it; the machine stays as it is."""
        self._file(environment, name).unlink(missing_ok=True)
        self._known_hosts(environment, name).unlink(missing_ok=True)

    def delete_network(self, environment: str) -> None:
        """Forget the environment."""
        shutil.rmtree(self._state / environment, ignore_errors=True)

    def _state_of(self, machine: MachineSpec, *, running: bool, key: str) -> MachineState:
        known = self._known_hosts(machine.environment, machine.name)
        return MachineState(
            name=machine.name,
            running=running,
            address=machine.address,
            ssh_port=machine.ssh_port,
            user=machine.user,
            ssh_arguments=pinned(known),
            host_key=key,
            digest=machine.digest(),
        )

    def _known(self, machine: MachineSpec) -> dict[str, str]:
        file = self._file(machine.environment, machine.name)
        return dict(json.loads(file.read_text())) if file.exists() else {}

    def _file(self, environment: str, name: str) -> Path:
        return self._state / environment / f"{name}.json"

    def _known_hosts(self, environment: str, name: str) -> Path:
        return self._state / environment / f"known_hosts.{name}"


def answers(machine: MachineSpec) -> bool:
    """Whether something speaks SSH at the machine's address."""
    try:
        with socket.create_connection((machine.address, machine.ssh_port), timeout=ANSWER_SECONDS) as connection:
            connection.settimeout(ANSWER_SECONDS)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def host_key(machine: MachineSpec) -> str:
    """The ed25519 host key that the machine shows, as ``ssh-ed25519 AAAA...``. Raises :class:`DriverError`."""
    command = ["ssh-keyscan", "-T", str(ANSWER_SECONDS), "-t", "ed25519", "-p", str(machine.ssh_port), machine.address]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line.split() for line in shown.stdout.splitlines() if line and not line.startswith("#")]
    if not lines:
        place = f"machines.nodes.{machine.name}"
        raise DriverError(
            f"machine {machine.name} does not answer SSH at {machine.address}:{machine.ssh_port}; start it, or correct "
            f"{place}.address and {place}.ssh_port"
        )
    return " ".join(lines[0][1:3])


def fingerprint(key: str) -> str:
    """The key as ``ssh-keygen -l`` shows it."""
    digest = hashlib.sha256(base64.b64decode(key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

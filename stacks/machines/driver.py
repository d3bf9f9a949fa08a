"""What a machine driver does. Every step can be repeated, also after one that was cut off halfway."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol


class DriverError(RuntimeError):
    """A step failed; the message names the machine and the mend."""


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """The network of an environment's machines; its first address is the host's end."""

    environment: str
    cidr: str


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """What a machine is to be. ``public_key`` may log in as ``user``, who may become root.

    ``entrance_port``, the same for all of an environment: where this host has a way to the machines (0: nowhere).
    """

    environment: str
    name: str
    address: str
    cidr: str
    public_key: str
    user: str = "ansible"
    ssh_port: int = 22
    cores: int = 2
    memory_mib: int = 2048
    suite: str = "bookworm"
    mirror: str | None = None
    host_key: str | None = None
    entrance_port: int = 0

    def digest(self) -> str:
        """Changes when anything about the machine does."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    def keeps_disk(self, made: "MachineSpec") -> bool:
        """Whether the machine made as ``made`` becomes this one by another start: its disk would be no other."""
        same = replace(made, cores=self.cores, memory_mib=self.memory_mib, entrance_port=self.entrance_port)
        return same == self


@dataclass(frozen=True, slots=True)
class MachineState:
    """What a machine is: whether it runs, how SSH reaches it (``ssh_arguments`` beside user, address and port).

    ``host_key`` is its public host key; ``digest`` that of the specification that it was made from.
    """

    name: str
    running: bool
    address: str
    ssh_port: int
    user: str
    ssh_arguments: tuple[str, ...] = ()
    host_key: str = ""
    digest: str = ""

    def to_values(self) -> dict[str, Any]:
        """Plain values, for the stack's state."""
        return {**asdict(self), "ssh_arguments": list(self.ssh_arguments)}


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that stands in the way, and how to mend it."""

    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.what}; {self.mend}"


@dataclass(slots=True)
class Problems:
    """Collects problems."""

    found: list[Problem] = field(default_factory=list)

    def need(self, condition: bool, what: str, mend: str) -> None:
        """Note a problem unless the condition holds."""
        if not condition:
            self.found.append(Problem(what, mend))

    def need_tools(self, tools: Mapping[str, str]) -> None:
        """Note each program that is not there; ``tools`` says by program which package of Debian has it."""
        for tool, package in tools.items():
            self.need(shutil.which(tool) is not None, f"{tool} is missing", f"apt-get install {package}")

    def need_memory(self, machines: Sequence[MachineSpec]) -> None:
        """Note that this host is too small for all of the machines."""
        wanted = sum(machine.memory_mib for machine in machines)
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
        self.need(
            wanted <= there, f"the machines want {wanted} MiB and this host has {there}", "set machines.memory_mib"
        )


def pinned(known_hosts: Path) -> tuple[str, ...]:
    """SSH's arguments by which only the host key in that file is taken; its path may hold spaces."""
    return ("-o", f'UserKnownHostsFile="{known_hosts}"', "-o", "StrictHostKeyChecking=yes")


class Driver(Protocol):
    """Makes machines, looks at them, takes them away."""

    @property
    def notice(self) -> str:
        """What users must know before they rely on it; empty when there is nothing."""
        ...

    def preflight(self, machines: Sequence[MachineSpec]) -> list[Problem]:
        """Everything that stands in the way of these machines, without changing anything."""
        ...

    def ensure_network(self, network: NetworkSpec) -> None:
        """Have the network."""
        ...

    def ensure(self, machine: MachineSpec) -> MachineState:
        """Have the machine, running and answering SSH. Raises :class:`DriverError`."""
        ...

    def read(self, machine: MachineSpec) -> MachineState | None:
        """The machine as it is; ``None`` when there is none."""
        ...

    def delete(self, environment: str, name: str) -> None:
        """Take a machine away with everything that is its own, from any state."""
        ...

    def delete_network(self, environment: str) -> None:
        """Take the network away, with whatever machines are still in it."""
        ...


def check(driver: Driver, machines: Sequence[MachineSpec]) -> None:
    """Raise :class:`DriverError` with every problem, each on its line."""
    problems = driver.preflight(machines)
    if problems:
        raise DriverError("these machines cannot be made here:\n" + "\n".join(f"- {problem}" for problem in problems))

"""One virtual machine, booted by the driver ``qemu``, spoken to over SSH and over its network, and taken away."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from stacks.machines import Driver, MachineSpec, MachineState, NetworkSpec, addresses, driver
from stacks.machines.driver import check
from stacks.machines.qemu.machines import TOOLS
from stacks.machines.qemu.network import SWITCH, port
from stacks.machines.system import read_pid, start_time

ENVIRONMENT = "qemu-test"
ADDRESS = "10.78.0.11"


def missing() -> str | None:
    """Why no virtual machine can be made here; None when one can."""
    if os.geteuid() != 0:
        return "images of machines can only be made by root"
    absent = [f"{tool} ({package})" for tool, package in TOOLS.items() if shutil.which(tool) is None]
    return f"missing: {', '.join(absent)}" if absent else None


REASON = missing()
pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600),
    pytest.mark.skipif(REASON is not None, reason=REASON or ""),
]


@dataclass(frozen=True)
class Booted:
    """The machine, its driver, and where both keep their files."""

    driver: Driver
    spec: MachineSpec
    state: MachineState
    directory: Path
    key: Path

    def ssh(self, *command: str, **options: str) -> subprocess.CompletedProcess[str]:
        arguments = ["-o", "BatchMode=yes", "-i", str(self.key), *self.state.ssh_arguments]
        for option, value in options.items():
            arguments = ["-o", f"{option}={value}", *arguments]
        target = f"{self.state.user}@{self.state.address}"
        line = ["ssh", *arguments, "-p", str(self.state.ssh_port), target, *command]
        return subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    """Booted once for all tests here; the image comes from the cache, or is made."""
    place = tmp_path_factory.mktemp("qemu")
    key = place / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    public = key.with_suffix(".pub").read_text().strip()
    spec = MachineSpec(ENVIRONMENT, "node1", ADDRESS, "10.78.0.0/24", public, memory_mib=768)
    qemu = driver("qemu", place / "machines")
    check(qemu, [spec])
    try:
        qemu.ensure_network(NetworkSpec(ENVIRONMENT, spec.cidr))
        yield Booted(qemu, spec, qemu.ensure(spec), place / "machines", key)
    finally:
        qemu.delete(ENVIRONMENT, spec.name)
        qemu.delete_network(ENVIRONMENT)


def test_the_user_becomes_root(machine: Booted) -> None:
    done = machine.ssh("sudo", "-n", "sh", "-c", "'id -u; hostname; systemctl is-active systemd-networkd'")
    assert (done.returncode, done.stdout.split()) == (0, ["0", "node1", "active"]), done.stderr


def test_a_machine_with_another_host_key_is_refused(machine: Booted, tmp_path: Path) -> None:
    other = tmp_path / "known_hosts"
    stranger = machine.key.with_suffix(".pub").read_text()
    other.write_text(f"[{machine.state.address}]:{machine.state.ssh_port} {stranger}")
    done = machine.ssh("true", UserKnownHostsFile=str(other))
    assert done.returncode == 255
    assert "Host key verification failed" in done.stderr


def test_a_second_ensure_finds_it_as_it_is(machine: Booted) -> None:
    pid_file = machine.directory / ENVIRONMENT / "node1" / "qemu.pid"
    before = read_pid(pid_file)
    assert machine.state.running
    assert machine.driver.read(machine.spec) == machine.state
    assert machine.driver.ensure(machine.spec) == machine.state
    assert read_pid(pid_file) == before


def test_the_others_reach_it_by_its_address(machine: Booted, monkeypatch: pytest.MonkeyPatch) -> None:
    """We are the other machine: an end of the switch asks who has the address (ARP, RFC 826)."""
    monkeypatch.chdir(machine.directory / ENVIRONMENT)
    mine = bytes.fromhex("027700000001")
    head = mine + bytes.fromhex("08060001080006040001")
    question = b"\xff" * 6 + head + mine + IPv4Address("10.78.0.12").packed + bytes(6) + IPv4Address(ADDRESS).packed
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(port("other"))
        end.settimeout(30)
        end.sendto(question.ljust(60, b"\0"), SWITCH)
        while (frame := end.recv(65536))[12:14] != b"\x08\x06" or frame[:6] != mine:
            pass  # others talk too
    Path(port("other")).unlink()
    assert frame[6:12].hex(":") == addresses.hardware_address(ADDRESS)
    assert IPv4Address(frame[28:32]) == IPv4Address(ADDRESS)


def test_a_running_one_is_taken_away_with_everything_that_was_its_own(machine: Booted) -> None:
    process = read_pid(machine.directory / ENVIRONMENT / "node1" / "qemu.pid")
    assert process is not None
    machine.driver.delete(ENVIRONMENT, "node1")
    assert machine.driver.read(machine.spec) is None
    assert start_time(process) == ""
    machine.driver.delete_network(ENVIRONMENT)
    assert list(machine.directory.iterdir()) == []
    left = [line for line in map(words, Path("/proc").glob("[0-9]*/cmdline")) if str(machine.directory) in line]
    assert left == []


def words(file: Path) -> str:
    """A process's command line; empty when it has ended."""
    try:
        return file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""

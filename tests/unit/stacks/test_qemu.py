"""Virtual machines without booting one: what is asked of QEMU, what the guest is told, and what is decided."""

import json
import os
import platform
import shutil
import socket
import subprocess
from io import FileIO
from pathlib import Path

import pytest

from stacks.machines import DriverError, MachineSpec, driver
from stacks.machines.driver import check
from stacks.machines.qemu import boot, command, disk, guest, kvm, network, ports, switch
from stacks.machines.system import write_pid

SPEC = MachineSpec("try", "node1", "10.77.0.11", "10.77.0.0/24", "ssh-ed25519 AAAA me", cores=3, memory_mib=1024)


def words(line: list[str], option: str) -> list[str]:
    return [line[at + 1] for at, word in enumerate(line) if word == option]


def test_the_command_line_names_processor_disk_and_both_networks() -> None:
    line = command.machine(SPEC, Path("/state/try/node1"), ssh_port=22001, kvm=True)
    assert words(line, "-accel") == ["kvm"]
    assert words(line, "-smp") + words(line, "-m") == ["3", "1024"]
    assert words(line, "-drive") == ["file=/state/try/node1/disk.ext4,format=raw,if=virtio,discard=unmap"]
    assert words(line, "-serial") == ["file:/state/try/node1/console.log"]
    outside, machines = words(line, "-netdev")
    assert "hostfwd=tcp:127.0.0.1:22001-10.0.2.15:22" in outside
    assert machines.endswith("local.path=node1.port,remote.type=unix,remote.path=switch.sock")
    assert [device for device in words(line, "-device") if "mac=02:77:0a:4d:00:0b" in device]
    assert "mitigations" not in words(line, "-append")[0]


def test_without_kvm_the_processor_is_emulated() -> None:
    line = command.machine(SPEC, Path("/state/try/node1"), ssh_port=22001, kvm=False)
    assert words(line, "-accel")[0].startswith("tcg,")
    assert words(line, "-cpu") == ["max"]


def test_a_comma_in_a_path_does_not_end_it() -> None:
    line = command.machine(SPEC, Path("/a,b/try/node1"), ssh_port=22001, kvm=False)
    assert words(line, "-drive")[0].startswith("file=/a,,b/try/node1/disk.ext4,format=raw")


def test_the_guest_has_its_address_by_the_hardware_address_of_its_interface() -> None:
    files = guest.files(SPEC)
    assert files["etc/systemd/network/20-machines.network"] == (
        "[Match]\nMACAddress=02:77:0a:4d:00:0b\n\n[Network]\nAddress=10.77.0.11/24\nLinkLocalAddressing=no\n"
    )
    assert "Gateway=10.0.2.2\n" in files["etc/systemd/network/10-outside.network"]
    assert files["etc/resolv.conf"] == "nameserver 10.0.2.3\n"
    assert "10.77.0.11 node1\n" in files["etc/hosts"]


@pytest.mark.parametrize(
    ("cidr", "outside"),
    [("10.77.0.0/24", "10.0.2.0/24"), ("10.0.0.0/8", "192.168.202.0/24"), ("192.168.202.0/24", "10.0.2.0/24")],
)
def test_the_network_to_the_outside_is_another_than_the_machines(cidr: str, outside: str) -> None:
    assert str(guest.outside_network(cidr)) == outside


def test_the_image_has_the_user_and_a_kernel() -> None:
    recipe = disk.recipe(SPEC)
    assert "linux-image-cloud-amd64" in recipe.packages
    assert recipe.name != disk.recipe(MachineSpec("try", "n", "10.77.0.11", "10.77.0.0/24", "", user="eve")).name


# Which accelerator.


class Probe:
    """Boots nothing, and counts."""

    def __init__(self, outcome: kvm.Booted) -> None:
        self.outcome = outcome
        self.asked = 0

    def __call__(self, _kernel: Path, _initrd: Path) -> kvm.Booted:
        self.asked += 1
        return self.outcome


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, a device and a kernel."""
    monkeypatch.setenv("MESHWRIGHT_CACHE", str(tmp_path / "cache"))
    for name in ("device", "kernel", "initrd"):
        (tmp_path / name).write_text(name)
    return tmp_path


def decide(place: Path, probe: Probe, release: str = "6.1", said: list[str] | None = None) -> kvm.Verdict:
    say = (said if said is not None else []).append
    device = place / "device"
    return kvm.decide(place / "kernel", place / "initrd", say=say, device=device, release=release, boot=probe)


def test_a_verdict_is_remembered_for_the_kernel_and_the_host_s_own(place: Path) -> None:
    probe, said = Probe(kvm.Booted(True, "booted")), list[str]()
    assert decide(place, probe, said=said) == decide(place, probe, said=said) == kvm.Verdict(True)
    assert (probe.asked, len(said)) == (1, 1)
    decide(place, probe, release="6.2")
    (place / "kernel").write_text("another")
    decide(place, probe)
    assert probe.asked == 3


def test_a_device_alone_is_no_kvm(place: Path) -> None:
    verdict = decide(place, Probe(kvm.Booted(False, "it did not boot")))
    assert not verdict.usable
    file = place / "cache/kvm" / verdict.reason.rpartition("delete ")[2].removesuffix(" to try again")
    assert file.exists()
    assert kvm.remembered("6.1") == verdict
    assert kvm.remembered("6.2") is None


def test_without_a_device_nothing_is_booted(place: Path) -> None:
    probe = Probe(kvm.Booted(True, "booted"))
    (place / "device").unlink()
    assert decide(place, probe) == kvm.Verdict(False, f"there is no {place / 'device'}")
    assert probe.asked == 0


def test_what_says_nothing_of_kvm_is_not_remembered(place: Path) -> None:
    probe = Probe(kvm.Booted(False, "QEMU ended", conclusive=False))
    assert not decide(place, probe).usable
    assert not decide(place, probe).usable
    assert probe.asked == 2


def test_a_broken_note_is_none(place: Path) -> None:
    probe = Probe(kvm.Booted(True, "booted"))
    decide(place, probe)
    next((place / "cache/kvm").glob("*.json")).write_text("{")
    assert decide(place, probe).usable
    assert probe.asked == 2


@pytest.mark.parametrize(
    ("said", "closed", "expected"),
    [
        (b"[ 0.1] Linux\r\nLoading, please wait...\r\n", False, kvm.Booted(True, "booted")),
        (
            b"KVM internal error. Suberror: 1\n",
            False,
            kvm.Booted(False, "a kernel booted by KVM ended in a KVM internal error"),
        ),
        (b"one\ncannot\n", True, kvm.Booted(False, "QEMU ended with 'cannot'", conclusive=False)),
        (
            b"[ 0.1] Linux",
            False,
            kvm.Booted(False, "a kernel booted by KVM did not reach its first program within 0 s"),
        ),
    ],
)
def test_a_console_is_watched_to_the_milestone(said: bytes, closed: bool, expected: kvm.Booted) -> None:
    reading, writing = os.pipe()
    with FileIO(reading, "rb") as console, FileIO(writing, "wb") as end:
        end.write(said)
        if closed:
            end.close()
        assert kvm.watch(console, 0.05) == expected


def test_users_are_told_of_emulation(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kvm, "closed", lambda *_device: None)
    qemu = driver("qemu", place)
    assert qemu.notice == ""
    decide(place, Probe(kvm.Booted(False, "it hung")), release=platform.release())
    assert qemu.notice.startswith("KVM is not usable here: the machines are emulated, 10 to 40 times slower (it hung")
    monkeypatch.setattr(kvm, "closed", lambda *_device: kvm.Verdict(False, "there is no /dev/kvm"))
    assert "(there is no /dev/kvm)" in qemu.notice


# What stands in the way.


def qemu_with(networks: str, *missing: str, monkeypatch: pytest.MonkeyPatch, user: int = 0) -> None:
    monkeypatch.setattr(shutil, "which", lambda tool: None if tool in missing else f"/bin/{tool}")
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    answer = subprocess.CompletedProcess([], 0, networks, "")
    monkeypatch.setattr(subprocess, "run", lambda *_args, **_kwargs: answer)


def test_what_is_missing_is_told_with_its_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    qemu_with("", "qemu-system-x86_64", "mke2fs", monkeypatch=monkeypatch, user=1000)
    with pytest.raises(DriverError) as told:
        check(driver("qemu", tmp_path), [SPEC])
    assert str(told.value).splitlines() == [
        "these machines cannot be made here:",
        "- images of machines, with files of every owner, can only be made by root; run as root, or use the stack laptop",
        "- qemu-system-x86_64 is missing; apt-get install qemu-system-x86",
        "- mke2fs is missing; apt-get install e2fsprogs",
    ]


def test_an_old_qemu_and_a_small_host_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    qemu_with("socket\nuser\n", monkeypatch=monkeypatch)
    big = MachineSpec("try", "node1", "10.77.0.11", "10.77.0.0/24", "", memory_mib=1 << 30)
    old, small = driver("qemu", tmp_path).preflight([big])
    assert "install QEMU 7.2 or later" in str(old)
    assert str(small).endswith("set machines.memory_mib")


def test_where_everything_is_there_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    qemu_with("dgram\nuser\n", monkeypatch=monkeypatch)
    assert driver("qemu", tmp_path).preflight([SPEC]) == []


def test_a_machine_of_another_processor_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    qemu_with("dgram\nuser\n", monkeypatch=monkeypatch)
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    (problem,) = driver("qemu", tmp_path).preflight([SPEC])
    assert "this host's is aarch64" in str(problem)


# Ports, and the way up.


def test_a_machine_keeps_its_port_while_that_is_free(tmp_path: Path) -> None:
    first, second = tmp_path / "try" / "node1", tmp_path / "try" / "node2"
    for directory in (first, second):
        directory.mkdir(parents=True)
    port = ports.ensure(tmp_path, first, lambda _port: True)
    assert ports.ensure(tmp_path, first, lambda _port: True) == port == ports.known(first)
    assert ports.ensure(tmp_path, second, lambda _port: True) != port
    moved = ports.ensure(tmp_path, first, lambda asked: asked != port)
    assert moved not in (port, ports.known(second))
    with pytest.raises(DriverError, match=r"no port of 127\.0\.0\.1"):
        ports.ensure(tmp_path, first, lambda _port: False)


def test_a_listening_port_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not ports.free(server.getsockname()[1])


def waiting(directory: Path, address: tuple[str, int], seconds: float = 0.0) -> None:
    boot.await_ssh("node1", directory, address, seconds=seconds, say=lambda _line: None)


def test_a_qemu_that_ended_is_told_with_its_own_words(tmp_path: Path) -> None:
    (tmp_path / boot.LOG).write_text("Could not set up host forwarding rule\n")
    with pytest.raises(DriverError, match=r"node1 did not start; .*\n.*host forwarding rule"):
        waiting(tmp_path, ("127.0.0.1", 1))


def test_a_silent_machine_is_told_with_the_end_of_its_console(tmp_path: Path) -> None:
    write_pid(tmp_path / "qemu.pid", os.getpid())
    (tmp_path / command.CONSOLE).write_text("x" * 5000 + "\r\n\x1b[0;32m  OK  \x1b[0m waits for a disk\r\n\n")
    with pytest.raises(DriverError, match="does not answer SSH within 0 s") as told:
        waiting(tmp_path, ("127.0.0.1", 1))
    assert str(told.value).endswith("OK   waits for a disk")
    assert len(str(told.value)) < 2500
    assert boot.last_line(tmp_path / command.CONSOLE) == "OK   waits for a disk"


def test_a_panic_ends_the_wait_and_the_machine(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        write_pid(tmp_path / "qemu.pid", process.pid)
        (tmp_path / command.CONSOLE).write_text("[ 1.0] Kernel panic - not syncing: VFS\n")
        with pytest.raises(DriverError, match="the kernel of machine node1 panicked"):
            waiting(tmp_path, ("127.0.0.1", 1), seconds=60)
        assert process.wait(timeout=10) is not None


def test_a_taken_connection_alone_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        silent, speaking = socket.create_connection(address), socket.create_connection(address)
        for _ in (silent, speaking):
            server.accept()[0].close()
        silent.close()
        speaking.close()
    assert not boot.speaks_ssh(address)


def test_a_machine_that_is_not_there_is_none(tmp_path: Path) -> None:
    qemu = driver("qemu", tmp_path)
    assert qemu.read(SPEC) is None
    qemu.delete("try", "node1")
    qemu.delete_network("try")
    assert list(tmp_path.iterdir()) == []


def test_a_half_made_machine_is_there_and_does_not_run(tmp_path: Path) -> None:
    directory = tmp_path / "try" / "node1"
    directory.mkdir(parents=True)
    values = {name: getattr(SPEC, name) for name in SPEC.__dataclass_fields__}
    (directory / "spec.json").write_text(json.dumps(values))
    state = driver("qemu", tmp_path).read(SPEC)
    assert state is not None
    assert (state.running, state.digest, state.host_key) == (False, SPEC.digest(), "")


# The switch.

ONE, TWO, EVERYBODY = b"\x02\x77\0\0\0\1", b"\x02\x77\0\0\0\2", b"\xff" * 6


def test_a_switch_floods_until_it_has_learned() -> None:
    learning = switch.Switch()
    ends = ["a.port", "b.port", "c.port"]
    assert learning.targets(TWO + ONE, "a.port", lambda: ends) == ["b.port", "c.port"]
    assert learning.targets(ONE + TWO, "b.port", lambda: ends) == ["a.port"]
    assert learning.targets(TWO + ONE, "a.port", lambda: ends) == ["b.port"]
    assert learning.targets(EVERYBODY + ONE, "a.port", lambda: ends) == ["b.port", "c.port"]
    assert learning.targets(ONE + TWO, "a.port", lambda: ends) == []  # back to where it came from: nowhere
    learning.forget("a.port")
    assert learning.targets(ONE + TWO, "b.port", lambda: ends) == ["a.port", "c.port"]


def test_a_runt_goes_nowhere_and_a_group_is_learned_by_nobody() -> None:
    learning = switch.Switch()
    assert learning.targets(b"short", "a.port", lambda: ["b.port"]) == []
    learning.targets(TWO + EVERYBODY, "a.port", list)
    assert learning.targets(EVERYBODY + ONE, "b.port", lambda: ["c.port"]) == ["c.port"]


def test_frames_pass_between_real_sockets_and_lost_ends_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as two,
    ):
        listening.bind(network.SWITCH)
        one.bind(network.port("one"))
        two.bind(network.port("two"))
        Path(network.port("gone")).touch()
        learning = switch.Switch()
        frame = EVERYBODY + ONE + b"who is there"
        one.sendto(frame, network.SWITCH)
        switch.serve(listening, learning)
        two.settimeout(5)
        assert two.recv(switch.FRAME_BYTES) == frame

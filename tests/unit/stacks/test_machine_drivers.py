"""What the machine drivers share: one table, images by recipe, a machine's identity, processes that run once."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from stacks.environment import Machines
from stacks.machines import DRIVERS, DriverError, MachineSpec, daemon, driver, identity, image
from stacks.machines.driver import check
from stacks.machines.namespaces import image as namespaces_image
from stacks.machines.system import end, locked, read_pid, write_pid
from stacks.providers.machine import MachineProvider

SPEC = MachineSpec(
    "try", "node1", "10.77.0.11", "10.77.0.0/24", "ssh-ed25519 AAAA me", mirror="http://mirror.example/debian"
)


@pytest.mark.parametrize("name", DRIVERS)
def test_every_driver_of_the_table_is_there(name: str, tmp_path: Path) -> None:
    made = driver(name, tmp_path)
    assert isinstance(made.notice, str)
    assert made.read(SPEC) is None


def test_every_driver_can_be_chosen_and_no_other() -> None:
    chosen = Machines.model_json_schema()["properties"]["driver"]["enum"]
    assert set(chosen) == {*DRIVERS, "processes"}
    with pytest.raises(DriverError, match="no machine driver 'vagrant'; allowed: namespaces, existing, qemu"):
        driver("vagrant", Path())


# What stands in the way.


def test_namespaces_tell_what_is_missing_with_its_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda tool: None if tool in ("mmdebstrap", "unshare") else f"/bin/{tool}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    overlay = subprocess.CompletedProcess([], 0, "overlayfs\n", "")
    monkeypatch.setattr(subprocess, "run", lambda *_args, **_kwargs: overlay)
    with pytest.raises(DriverError) as told:
        check(driver("namespaces", tmp_path), [SPEC])
    assert str(told.value).splitlines() == [
        "these machines cannot be made here:",
        "- namespaces can only be made by root; run as root, or use the stack laptop",
        "- mmdebstrap is missing; apt-get install mmdebstrap",
        "- unshare is missing; apt-get install util-linux",
        f"- {tmp_path} is itself on an overlay; set another state directory",
    ]


def test_namespaces_tell_that_the_kernel_forbids_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda tool: f"/bin/{tool}")
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[object]:
        if command[0] == "unshare":
            return subprocess.CompletedProcess(command, 1, b"", b"unshare: Operation not permitted\n")
        return subprocess.CompletedProcess(command, 0, "ext2/ext3\n", "")

    monkeypatch.setattr(subprocess, "run", run)
    big = MachineSpec("try", "node1", "10.77.0.11", "10.77.0.0/24", "", memory_mib=1 << 30)
    forbidden, small = driver("namespaces", tmp_path).preflight([big])
    assert str(forbidden) == "namespaces are forbidden here: unshare: Operation not permitted; use the stack laptop"
    assert str(small).endswith("set machines.memory_mib")


def test_machines_that_another_checkout_runs_are_left_alone(tmp_path: Path) -> None:
    made = tmp_path / "try" / "node1"
    made.mkdir(parents=True)
    (made / "spec.json").write_text(json.dumps(asdict(replace(SPEC, public_key="ssh-ed25519 AAAA another"))))
    write_pid(made / "launcher.pid", os.getpid())
    told = [str(problem) for problem in driver("namespaces", tmp_path).preflight([SPEC])]
    assert (
        "machine node1 of try runs already, made for another SSH key; run `make down` in the checkout that made it, or end "
        f"its process {os.getpid()}"
    ) in told
    (made / "launcher.pid").write_text("1 0\n")  # what is left of one that runs no more is taken over
    assert not [problem for problem in driver("namespaces", tmp_path).preflight([SPEC]) if "node1" in str(problem)]


# Images and identities.


def test_another_recipe_is_another_image() -> None:
    recipe = namespaces_image.recipe(SPEC)
    assert recipe.name.startswith("bookworm-")
    others = [
        image.Recipe("trixie", recipe.source, recipe.packages, recipe.hooks),
        image.Recipe(recipe.suite, "http://other.example/debian", recipe.packages, recipe.hooks),
        image.Recipe(recipe.suite, recipe.source, (*recipe.packages, "vim"), recipe.hooks),
        image.Recipe(recipe.suite, recipe.source, recipe.packages, image.hooks("eve")),
        image.Recipe(recipe.suite, recipe.source, recipe.packages, recipe.hooks, ("true",)),
    ]
    assert len({recipe.name, *(other.name for other in others)}) == 6


def test_an_image_that_failed_leaves_nothing_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESHWRIGHT_CACHE", str(tmp_path))
    failed = subprocess.CompletedProcess([], 1, "", "E: no such suite\n")
    monkeypatch.setattr(subprocess, "run", lambda *_args, **_kwargs: failed)
    with pytest.raises(DriverError, match=r"from http://mirror\.example/debian: E: no such suite"):
        image.ensure(namespaces_image.recipe(SPEC))
    assert list((tmp_path / "images").iterdir()) == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("sources.list", "deb [signed-by=/k] http://one.example/debian bookworm main\n"),
        ("sources.list.d/a.list", "deb http://one.example/debian bookworm main\n"),
        (
            "sources.list.d/a.sources",
            "Types: deb\nURIs: http://one.example/debian\nSuites: bookworm bookworm-updates\n",
        ),
    ],
)
def test_the_host_s_own_source_of_the_suite_is_found(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / file).write_text(text)
    assert image.host_mirror("bookworm", tmp_path) == "http://one.example/debian"
    assert image.host_mirror("trixie", tmp_path) is None


def test_what_is_written_changes_no_file_that_it_is_linked_to(tmp_path: Path) -> None:
    original, root = tmp_path / "original", tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    original.write_text("the image's")
    os.link(original, root / "etc/hosts")
    (root / "etc/resolv.conf").symlink_to(original)
    for name in ("etc/hosts", "etc/resolv.conf"):
        identity.write(root, name, "the machine's", mode=0o600)
        assert (root / name).read_text() == "the machine's"
        assert (root / name).stat().st_mode & 0o777 == 0o600
    assert original.read_text() == "the image's"


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is missing")
def test_a_machine_keeps_its_host_key(tmp_path: Path) -> None:
    image_tree, root = tmp_path / "image", tmp_path / "root"
    (image_tree / "etc").mkdir(parents=True)
    (image_tree / "etc/passwd").write_text(
        f"root:x:0:0::/root:/bin/sh\nansible:x:{os.getuid()}:{os.getgid()}::/:/bin/sh\n"
    )
    first = identity.write_identity(SPEC, root, image_tree)
    assert first.startswith("ssh-ed25519 AAAA")
    assert identity.write_identity(SPEC, root, image_tree) == first == identity.public_host_key(root)
    assert (root / "etc/hostname").read_text() == "node1\n"
    assert (root / "home/ansible/.ssh/authorized_keys").read_text() == "ssh-ed25519 AAAA me\n"
    assert (root / "etc/sudoers.d/ansible").stat().st_mode & 0o777 == 0o440


# Processes and locks.


def test_two_starters_at_once_start_one_process(tmp_path: Path) -> None:
    pid_file, log = tmp_path / "it.pid", tmp_path / "it.log"
    command = [sys.executable, "-c", "print('up', flush=True); import time; time.sleep(600)"]
    starters = [threading.Thread(target=daemon.start, args=(pid_file, command), kwargs={"log": log}) for _ in range(3)]
    try:
        for starter in starters:
            starter.start()
        for starter in starters:
            starter.join()
        first = read_pid(pid_file)
        assert first is not None
        daemon.start(pid_file, command, log=log)
        assert read_pid(pid_file) == first
        holders = [p for p in Path("/proc").glob("[0-9]*/cmdline") if "time.sleep(600)" in _text(p)]
        assert [int(path.parent.name) for path in holders] == [first]
    finally:
        end(pid_file)
    assert read_pid(pid_file) is None
    assert not pid_file.exists()


def ended(pid_file: Path) -> None:
    deadline = time.monotonic() + 10
    while read_pid(pid_file) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def test_a_process_runs_where_it_is_told_to_and_its_end_is_seen(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    for _ in range(2):  # the second time over the first one's pid file
        daemon.start(tmp_path / "it.pid", ["pwd"], log=tmp_path / "it.log", directory=place)
        ended(tmp_path / "it.pid")
    assert (tmp_path / "it.log").read_text() == f"{place}\n" * 2


def test_a_command_that_is_not_there_is_in_the_log(tmp_path: Path) -> None:
    daemon.start(tmp_path / "it.pid", ["/no/such/command"], log=tmp_path / "it.log")
    ended(tmp_path / "it.pid")
    assert "No such file or directory" in (tmp_path / "it.log").read_text()


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    inside: list[int] = []
    overlaps: list[int] = []

    def work(number: int) -> None:
        with locked(tmp_path):
            overlaps.extend(inside)
            inside.append(number)
            inside.remove(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert overlaps == []


# Other limits need another start, and anything else another machine.


def values(**changed: object) -> dict[str, object]:
    spec = asdict(replace(SPEC, **changed))  # type: ignore[arg-type]
    return {"spec": spec, "driver": "namespaces", "state_directory": "/s", "state": {"running": True}}


@pytest.mark.parametrize(
    ("changed", "changes", "replaces"),
    [
        ({}, False, []),
        ({"memory_mib": 4096, "cores": 1}, True, []),
        ({"memory_mib": 4096, "suite": "trixie"}, True, ["spec"]),
        ({"address": "10.77.0.12"}, True, ["spec"]),
    ],
)
def test_a_machine_keeps_its_disk_when_only_its_limits_change(
    changed: dict[str, object], changes: bool, replaces: list[str]
) -> None:
    found = MachineProvider().diff("x/node1", values(), values(**changed))
    assert (found.changes, found.replaces) == (changes, replaces)


@pytest.mark.parametrize(("name", "pid"), [("namespaces", "launcher.pid"), ("qemu", "qemu.pid")])
def test_a_network_goes_with_the_machines_that_are_still_in_it(
    name: str, pid: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = driver(name, tmp_path)
    (tmp_path / "gone" / "node1").mkdir(parents=True)
    (tmp_path / "gone" / "node1" / pid).touch()
    ended: list[str] = []
    monkeypatch.setattr(made, "delete", lambda environment, machine: ended.append(f"{environment}/{machine}"))
    made.delete_network("gone")
    assert ended == ["gone/node1"]
    assert not (tmp_path / "gone").exists()

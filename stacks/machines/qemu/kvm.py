"""Whether KVM is usable here, found by booting: ``/dev/kvm`` alone promises nothing.

There are hosts (nested ones above all) whose KVM stops halfway through the boot of an ordinary kernel, or is slower there
than emulation. So a kernel is booted, and what it got to is remembered for it and for the host's kernel.
"""

import hashlib
import json
import os
import platform
import selectors
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from io import FileIO
from pathlib import Path

from stacks.machines import image
from stacks.machines.qemu import command
from stacks.machines.system import locked

DEVICE = Path("/dev/kvm")
MILESTONE = b"Loading, please wait..."
"""What the first program (Debian's ``/init`` of the initial file system) says: kernel and user mode both work by then."""
FAILURES = (b"KVM internal error", b"Kernel panic")
SECONDS = 25.0
"""A usable KVM is there in one or two."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether KVM is usable, and why not."""

    usable: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Booted:
    """How far a probe got: ``conclusive`` unless it says nothing of KVM, and is to be made again."""

    reached: bool
    how: str
    conclusive: bool = True


Boot = Callable[[Path, Path], Booted]


def closed(device: Path = DEVICE) -> Verdict | None:
    """The verdict where there is nothing to probe; ``None`` where there is."""
    if not device.exists():
        return Verdict(False, f"there is no {device}")
    if not os.access(device, os.R_OK | os.W_OK):
        return Verdict(False, f"{device} is not open to this user; join its group, or run as root")
    return None


def remembered(release: str | None = None) -> Verdict | None:
    """The last verdict that was found under this host's kernel, for whatever guest."""
    found = sorted(_directory().glob(f"*-{release or platform.release()}.json"), key=lambda file: file.stat().st_mtime)
    return _read(found[-1]) if found else None


def decide(
    kernel: Path, initrd: Path, *, say: Say, device: Path = DEVICE, release: str | None = None, boot: Boot | None = None
) -> Verdict:
    """The verdict for a guest's kernel, by a boot when it is not remembered."""
    shut = closed(device)
    if shut is not None:
        return shut
    file = _directory() / f"{_digest(kernel)}-{release or platform.release()}.json"
    with locked(_directory()):  # several machines at once ask one probe
        known = _read(file)
        if known is not None:
            return known
        say(f"tries whether KVM boots its kernel, for at most {SECONDS:.0f} s, once")
        booted = (boot or boot_by_kvm)(kernel, initrd)
        verdict = Verdict(booted.reached, "" if booted.reached else booted.how)
        if booted.conclusive:
            if not booted.reached:
                verdict = Verdict(False, f"{booted.how}; delete {file} to try again")
            made = file.with_suffix(".making")
            made.write_text(json.dumps(asdict(verdict)))
            made.rename(file)
    return verdict


def boot_by_kvm(kernel: Path, initrd: Path, seconds: float = SECONDS) -> Booted:
    """Boot it for real and watch its console."""
    reading, writing = os.pipe()
    with open(reading, "rb", buffering=0) as console:
        process = subprocess.Popen(
            command.probe(kernel, initrd), stdin=subprocess.DEVNULL, stdout=writing, stderr=subprocess.STDOUT
        )
        os.close(writing)
        try:
            booted = watch(console, seconds)
            # An abort is KVM's doing (its registers are not as they should be); an orderly end may have any cause.
            aborted = not booted.conclusive and process.wait() < 0
            return replace(booted, conclusive=booted.conclusive or aborted)
        finally:
            process.kill()
            process.wait()


def watch(console: FileIO, seconds: float) -> Booted:
    """Read a console until the milestone, a failure, its end, or the time."""
    deadline = time.monotonic() + seconds
    said = b""
    with selectors.DefaultSelector() as selector:
        selector.register(console, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            if not selector.select(left):
                continue
            data = os.read(console.fileno(), 65536)
            said += data
            if MILESTONE in said:
                return Booted(True, "booted")
            failure = next((failure for failure in FAILURES if failure in said), None)
            if failure is not None:
                return Booted(False, f"a kernel booted by KVM ended in a {failure.decode()}")
            if not data:
                line = said.decode(errors="replace").strip().rpartition("\n")[2]
                return Booted(False, f"QEMU ended with {line!r}", conclusive=False)
    return Booted(False, f"a kernel booted by KVM did not reach its first program within {seconds:.0f} s")


def _directory() -> Path:
    return image.cache() / "kvm"


def _digest(kernel: Path) -> str:
    return hashlib.sha256(kernel.read_bytes()).hexdigest()[:12]


def _read(file: Path) -> Verdict | None:
    try:
        return Verdict(**json.loads(file.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None

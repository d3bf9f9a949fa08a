"""Trees of a small Debian that drivers make machines of: each made once, and cached by its recipe."""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stacks.machines.driver import DriverError, MachineSpec
from stacks.machines.system import locked
from stacks.providers import progress

PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "libpam-systemd", "openssh-server", "sudo", "python3", "python3-apt", "python3-venv",
    "iproute2", "iputils-ping", "nftables", "ca-certificates", "procps", "curl", "netbase", "udev",
)  # fmt: skip
"""What every machine has."""
OFFICIAL = "http://deb.debian.org/debian"
_TRIM = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an image is made of. The hooks are shell commands on the host, with the tree as ``$1``: ``hooks`` when all
    packages are there, ``early_hooks`` before any but the essential ones."""

    suite: str
    source: str
    packages: tuple[str, ...]
    hooks: tuple[str, ...]
    early_hooks: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Another recipe has another name."""
        text = "\n".join([self.suite, self.source, *self.packages, *self.hooks, *_TRIM, *self.early_hooks])
        return f"{self.suite}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def hooks(user: str) -> tuple[str, ...]:
    """What every image has done to it: the user who logs in, no keys, nothing that waits for a network or a keyboard."""
    return (
        f'chroot "$1" useradd --create-home --shell /bin/bash --password "*" {user}',
        'rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/hostname',
        'chroot "$1" systemctl mask console-getty.service getty@.service systemd-networkd-wait-online.service',
        'chroot "$1" systemctl disable apt-daily.timer apt-daily-upgrade.timer nftables.service || true',
    )


def cache() -> Path:
    """Where what can be made again is kept: ``MESHWRIGHT_CACHE``, else the user's cache."""
    return Path(os.environ.get("MESHWRIGHT_CACHE") or Path.home() / ".cache" / "meshwright")


def images() -> Path:
    """Where images are kept."""
    return cache() / "images"


def mirror(spec: MachineSpec) -> str:
    """Where packages come from: as set, else this host's own source for the suite, else Debian's."""
    return spec.mirror or host_mirror(spec.suite) or OFFICIAL


def host_mirror(suite: str, directory: Path = Path("/etc/apt")) -> str | None:
    """The first source of this host that has the suite."""
    for file in sorted(directory.glob("sources.list.d/*.sources")):
        for stanza in re.split(r"\n\s*\n", file.read_text()):
            uris = re.search(r"^URIs:\s*(\S+)", stanza, re.MULTILINE)
            suites = re.search(r"^Suites:\s*(.+)$", stanza, re.MULTILINE)
            if uris and suites and suite in suites[1].split():
                return uris[1]
    for file in (directory / "sources.list", *sorted(directory.glob("sources.list.d/*.list"))):
        if file.exists():
            found = re.search(rf"^deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+{re.escape(suite)}\s", file.read_text(), re.MULTILINE)
            if found:
                return found[1]
    return None


def ensure(recipe: Recipe) -> Path:
    """The image's tree, made when it is missing. Raises :class:`DriverError`."""
    return kept(recipe.name, recipe.source, lambda target, lock: _build(recipe, target, lock))


def kept(name: str, source: str, make: Callable[[Path, int], None]) -> Path:
    """The tree of that name in the cache; ``make`` fills it when it is missing, and is given the lock that it holds."""
    target = images() / name
    if target.exists():
        return target
    with locked(images()) as lock:  # of several who ask at once, one makes it
        if not target.exists():
            _make(target, source, make, lock)
    return target


def _make(target: Path, source: str, make: Callable[[Path, int], None], lock: int) -> None:
    say = progress.speaker(f"image {target.name}")
    say(f"is made from {source}; this takes some minutes, once")
    # Made beside its place and moved when it is whole: a cut-off one is never taken for an image.
    made = target.with_name(f".making-{target.name}")
    shutil.rmtree(made, ignore_errors=True)
    try:
        made.mkdir()
        made.chmod(0o755)  # it becomes the machine's root directory, whatever the mask here is
        make(made, lock)
        made.rename(target)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    say("is made")


def _build(recipe: Recipe, target: Path, lock: int) -> None:
    options = [f"--dpkgopt=path-exclude={path}" for path in _TRIM]
    options += [f"--essential-hook={hook}" for hook in recipe.early_hooks]
    options += [f"--customize-hook={hook}" for hook in recipe.hooks]
    unpack(recipe.suite, recipe.source, recipe.packages, target, lock, "minbase", *options)


def unpack(
    suite: str, source: str, packages: Sequence[str], target: Path, lock: int, variant: str, *options: str
) -> None:
    """Packages of Debian in a tree, by ``mmdebstrap``. Raises :class:`DriverError`."""
    # It binds parts of the host's /dev and /sys into the tree. Mounts of its own vanish with it, however it ends: others
    # would stay when it is killed, and whoever then deleted the tree would delete through them.
    command = ["unshare", "--mount", "mmdebstrap", f"--variant={variant}", "--mode=root", "--format=directory"]
    command += [f"--include={','.join(packages)}", '--aptopt=APT::Install-Recommends "false"', "--skip=output/dev"]
    command += [*options, suite, str(target), source]
    # It holds the lock as well: where it outlives us, nobody begins anew in its tree.
    done = subprocess.run(command, capture_output=True, text=True, check=False, pass_fds=(lock,))
    if done.returncode:
        raise DriverError(f"the image could not be made from {source}: {done.stderr.strip()[-1500:]}")

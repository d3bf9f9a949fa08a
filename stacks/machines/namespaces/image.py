"""The disk that all machines share below their own: a small Debian, made once and cached by its recipe."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from stacks.machines.driver import DriverError, MachineSpec

PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "libpam-systemd", "openssh-server", "sudo", "python3", "python3-apt", "python3-venv",
    "iproute2", "iputils-ping", "nftables", "ca-certificates", "procps", "curl", "netbase", "udev",
)  # fmt: skip
OFFICIAL = "http://deb.debian.org/debian"
_HOOKS = (
    'chroot "$1" useradd --create-home --shell /bin/bash --password "*" ansible',
    'rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/hostname',
    'chroot "$1" systemctl mask console-getty.service getty@.service systemd-networkd-wait-online.service',
    'chroot "$1" systemctl disable apt-daily.timer apt-daily-upgrade.timer nftables.service || true',
)
_TRIM = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*")


def cache() -> Path:
    """Where images are kept: below ``MESHWRIGHT_CACHE``, else below the user's cache."""
    return Path(os.environ.get("MESHWRIGHT_CACHE") or Path.home() / ".cache" / "meshwright") / "images"


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


def ensure(spec: MachineSpec) -> Path:
    """The image's tree, made when it is missing. Raises :class:`DriverError`."""
    source = mirror(spec)
    recipe = "\n".join([spec.suite, source, *PACKAGES, *_HOOKS, *_TRIM])
    target = cache() / f"{spec.suite}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    if target.exists():
        return target
    cache().mkdir(parents=True, exist_ok=True)
    # Made beside its place and moved when it is whole: a cut-off one is never taken for an image.
    made = Path(tempfile.mkdtemp(prefix=".making-", dir=cache()))
    try:
        made.chmod(0o755)
        _build(spec.suite, source, made)
        made.rename(target)
    except OSError:
        if not target.exists():  # another process was faster
            raise
    finally:
        if made.exists():
            shutil.rmtree(made, ignore_errors=True)
    return target


def _build(suite: str, source: str, target: Path) -> None:
    command = [
        "mmdebstrap",
        "--variant=minbase",
        "--mode=root",
        "--format=directory",
        f"--include={','.join(PACKAGES)}",
    ]
    command += ['--aptopt=APT::Install-Recommends "false"', "--skip=output/dev"]
    command += [f"--dpkgopt=path-exclude={path}" for path in _TRIM]
    command += [f"--customize-hook={hook}" for hook in _HOOKS]
    done = subprocess.run([*command, suite, str(target), source], capture_output=True, text=True, check=False)
    if done.returncode:
        raise DriverError(f"the machines' image could not be made from {source}: {done.stderr.strip()[-1500:]}")


def apt_hosts(tree: Path) -> set[str]:
    """The hosts that the image's apt asks."""
    files = [tree / "etc/apt/sources.list", *(tree / "etc/apt/sources.list.d").glob("*")]
    text = "\n".join(file.read_text() for file in files if file.is_file())
    return set(re.findall(r"https?://([^/\s:]+)", text))

"""What makes a machine itself, written into its file system before it boots for the first time."""

import os
import uuid
from pathlib import Path

from stacks.machines.driver import MachineSpec
from stacks.machines.system import run

HOST_KEY = "etc/ssh/ssh_host_ed25519_key"


def write(root: Path, name: str, text: str, mode: int = 0o644) -> None:
    """Write a file below ``root`` in place of what is there: what that is linked to (an image, the host) stays as it is."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_text(text)
    path.chmod(mode)


def write_identity(spec: MachineSpec, root: Path, image: Path) -> str:
    """Name, id, key of the user and key of the host, below ``root``; returns the public host key.

    ``image`` is the tree that knows the user. A host key that is there already stays.
    """
    write(root, "etc/hostname", f"{spec.name}\n")
    write(root, "etc/machine-id", f"{uuid.uuid5(uuid.NAMESPACE_DNS, f'{spec.environment}.{spec.name}').hex}\n")
    write(root, f"etc/sudoers.d/{spec.user}", f"{spec.user} ALL=(ALL) NOPASSWD: ALL\n", mode=0o440)
    _authorize(spec, root, image)
    key = root / HOST_KEY
    if not key.exists():
        key.parent.mkdir(parents=True, exist_ok=True)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", spec.name, "-f", str(key))
    return public_host_key(root)


def public_host_key(root: Path) -> str:
    """The public host key below ``root`` as ``ssh-ed25519 AAAA...``; empty when there is none."""
    file = (root / HOST_KEY).with_suffix(".pub")
    return " ".join(file.read_text().split()[:2]) if file.exists() else ""


def hosts(spec: MachineSpec) -> str:
    """The machine's ``/etc/hosts``."""
    return f"127.0.0.1 localhost\n{spec.address} {spec.name}\n"


def _authorize(spec: MachineSpec, root: Path, image: Path) -> None:
    """Let the key log in; the user is in the image."""
    users = dict(line.split(":", 1) for line in (image / "etc/passwd").read_text().splitlines())
    _, uid, gid, *_ = users[spec.user].split(":")
    home = root / "home" / spec.user
    write(root, f"home/{spec.user}/.ssh/authorized_keys", spec.public_key.strip() + "\n", mode=0o600)
    home.chmod(0o755)
    (home / ".ssh").chmod(0o700)
    for path in (home, home / ".ssh", home / ".ssh" / "authorized_keys"):
        os.chown(path, int(uid), int(gid))

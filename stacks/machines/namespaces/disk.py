"""What is a machine's own on its disk: name, keys, network, before it boots for the first time."""

import os
import uuid
from pathlib import Path

from stacks.machines.driver import MachineSpec
from stacks.machines.namespaces import names
from stacks.machines.namespaces.apt_proxy import PORT
from stacks.machines.namespaces.system import run


def prepare(spec: MachineSpec, directory: Path, image: Path) -> str:
    """Write the machine's files into its layer, where they are missing; returns its public host key."""
    for name in ("upper", "work", "root"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    upper = directory / "upper"
    gateway = names.gateway(spec.cidr)
    _write(upper, "etc/hostname", f"{spec.name}\n")
    _write(upper, "etc/machine-id", f"{uuid.uuid5(uuid.NAMESPACE_DNS, f'{spec.environment}.{spec.name}').hex}\n")
    _write(upper, "etc/hosts", f"127.0.0.1 localhost\n{spec.address} {spec.name}\n", keep=True)
    _write(upper, "etc/resolv.conf", f"nameserver {gateway}\n")
    _write(upper, "etc/apt/apt.conf.d/90meshwright", f'Acquire::http::Proxy "http://{gateway}:{PORT}/";\n')
    _write(upper, f"etc/sudoers.d/{spec.user}", f"{spec.user} ALL=(ALL) NOPASSWD: ALL\n", mode=0o440)
    _authorize(spec, upper, image)
    key = upper / "etc/ssh/ssh_host_ed25519_key"
    if not key.exists():
        (upper / "etc/ssh").mkdir(parents=True, exist_ok=True)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", spec.name, "-f", str(key))
    return " ".join(key.with_suffix(".pub").read_text().split()[:2])


def _authorize(spec: MachineSpec, upper: Path, image: Path) -> None:
    """Let the key log in; the user is in the image."""
    users = dict(line.split(":", 1) for line in (image / "etc/passwd").read_text().splitlines())
    _, uid, gid, *_ = users[spec.user].split(":")
    home = upper / "home" / spec.user
    _write(upper, f"home/{spec.user}/.ssh/authorized_keys", spec.public_key.strip() + "\n", mode=0o600)
    home.chmod(0o755)
    (home / ".ssh").chmod(0o700)
    for path in (home, home / ".ssh", home / ".ssh" / "authorized_keys"):
        os.chown(path, int(uid), int(gid))


def _write(upper: Path, name: str, text: str, mode: int = 0o644, keep: bool = False) -> None:
    """``keep``: the machine may have changed it since."""
    path = upper / name
    if keep and path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)

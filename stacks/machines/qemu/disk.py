"""A machine's disk, kernel and initial file system: made once of the image, then the machine's own."""

import hashlib
import os
import shutil
from pathlib import Path

from stacks.machines import identity, image
from stacks.machines.driver import DriverError, MachineSpec
from stacks.machines.qemu import guest
from stacks.machines.system import run

DISK, KERNEL, INITRD, HOST_KEY = "disk.ext4", "vmlinuz", "initrd.img", "host_key.pub"
SIZE = "8G"
"""Of the disk as the machine sees it; the file holds what was written."""

PACKAGES = ("linux-image-cloud-amd64", "initramfs-tools", "kmod")
# A small initial file system: an emulated processor unpacks it, and the disk's driver is all that it is for.
_EARLY_HOOKS = (
    'mkdir -p "$1"/etc/initramfs-tools/conf.d "$1"/usr/share/initramfs-tools/modules.d',
    'echo MODULES=list > "$1"/etc/initramfs-tools/conf.d/meshwright',
    'printf "%s\\n" virtio_pci virtio_blk ext4 > "$1"/usr/share/initramfs-tools/modules.d/meshwright.conf',
)
_HOOKS = (
    'chroot "$1" systemctl enable systemd-networkd.service',
    'chroot "$1" systemctl disable e2scrub_reap.service e2scrub_all.timer || true',
    # Users are let in before the SSH server answers: who waits for its answer is not refused then.
    'mkdir -p "$1"/etc/systemd/system/ssh.service.d',
    'printf "[Unit]\\nAfter=systemd-user-sessions.service\\n" > "$1"/etc/systemd/system/ssh.service.d/meshwright.conf',
)


def recipe(spec: MachineSpec) -> image.Recipe:
    """What the machine's image is made of."""
    hooks = (*image.hooks(spec.user), *_HOOKS)
    return image.Recipe(spec.suite, image.mirror(spec), (*image.PACKAGES, *PACKAGES), hooks, _EARLY_HOOKS)


def exists(directory: Path) -> bool:
    """Whether the machine has a whole disk."""
    return (directory / DISK).exists()


def make(spec: MachineSpec, directory: Path, tree: Path) -> None:
    """Make the disk of the image's tree. A cut-off one is begun anew. Raises :class:`DriverError`."""
    remove_staging(directory)
    staging = _staging(directory).with_suffix(f".{os.getpid()}")
    try:
        run("cp", "--archive", "--link", str(tree), str(staging))
        for name, text in guest.files(spec).items():
            identity.write(staging, name, text)
        host_key = identity.write_identity(spec, staging, tree)
        (directory / HOST_KEY).write_text(f"{host_key}\n")
        shutil.copyfile(_only(tree, "vmlinuz-*"), directory / KERNEL)
        shutil.copyfile(_only(tree, "initrd.img-*"), directory / INITRD)
        made = directory / f"{DISK}.making"
        made.unlink(missing_ok=True)
        # Tables written now are holes in the file; left for later, the machine would write them all.
        lazy = "lazy_itable_init=0,lazy_journal_init=0"
        run("mke2fs", "-q", "-F", "-t", "ext4", "-E", lazy, "-d", str(staging), str(made), SIZE)
        made.rename(directory / DISK)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def remove_staging(directory: Path) -> None:
    """Take away what a cut-off :func:`make` left outside the machine's directory."""
    left = _staging(directory)
    for path in left.parent.glob(f"{left.name}.*"):
        shutil.rmtree(path, ignore_errors=True)


def _staging(directory: Path) -> Path:
    """Beside the image: its files are linked rather than copied, which works within one file system.

    The process adds its id, as a copy of one that was killed may still go on.
    """
    return image.images() / f".disk-{hashlib.sha256(str(directory.resolve()).encode()).hexdigest()[:12]}"


def _only(tree: Path, pattern: str) -> Path:
    found = sorted(tree.glob(f"boot/{pattern}"))
    if not found:
        raise DriverError(f"the image {tree} has no boot/{pattern}; delete it, it is made anew")
    return found[-1]

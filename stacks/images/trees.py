"""The files of images of a cluster: Debian's packages where programs need some, the programs, their licences."""

import os
import shutil
from pathlib import Path

from stacks.images import debian, go_build, pause, versions
from stacks.images.debian import Tree
from stacks.images.programs import BY_NAME
from stacks.images.table import ClusterImage

LICENCES = "usr/share/doc"
"""Directory of an image with what authors ask to be kept: of packages ``PACKAGE/copyright``, of ours ``PROGRAM/licences``."""
_NETFILTER = "usr/sbin/xtables-nft-multi"
_NETFILTER_PROGRAMS = ("usr/sbin/nft", "usr/sbin/conntrack", _NETFILTER)
_NETFILTER_NAMES = tuple(
    f"{family}{backend}{verb}"
    for family in ("iptables", "ip6tables")
    for backend in ("", "-nft")
    for verb in ("", "-save", "-restore")
)
"""By which kube-proxy calls it; Debian's package makes them by a script."""
_NETFILTER_MODULES = "usr/lib/x86_64-linux-gnu/xtables"


def _netfilter(unpacked: Path, made: Path) -> None:
    """nft, conntrack, and iptables over nftables, with their libraries; no shell, and nothing else that can be run."""
    for program in _NETFILTER_PROGRAMS:
        debian.copy(unpacked, made, program)
    for name in _NETFILTER_NAMES:
        (made / _NETFILTER).with_name(name).symlink_to(Path(_NETFILTER).name)
    debian.libraries(unpacked, made)
    debian.copy(unpacked, made, _NETFILTER_MODULES)
    debian.copy(unpacked, made, "etc/protocols")


def _nftables(unpacked: Path, made: Path) -> None:
    """nft with its libraries."""
    debian.copy(unpacked, made, "usr/sbin/nft")
    debian.libraries(unpacked, made)


_POSTGRESQL = f"postgresql/{versions.POSTGRESQL}"
_SERVER = tuple(f"usr/lib/{_POSTGRESQL}/bin/{name}" for name in ("initdb", "postgres"))
_MODULES = ("plpgsql", "dict_snowball", "*_and_*", "euc2004_sjis2004")
"""What every cluster has from its beginning: a language, stemmers, and conversions of character sets."""
_SHELL = Path(__file__).with_name("server_shell.py")


def _postgresql(unpacked: Path, made: Path) -> None:
    """The server, what makes its clusters, and what clusters are made of; what stands for the shell that initdb asks."""
    debian.linked(unpacked, made, *_SERVER)
    for program in _SERVER:
        debian.copy(unpacked, made, program)
    for name in _MODULES:
        for module in sorted((unpacked / f"usr/lib/{_POSTGRESQL}/lib").glob(f"{name}.so")):
            debian.copy(unpacked, made, str(module.relative_to(unpacked)))
    debian.copy(unpacked, made, f"usr/share/{_POSTGRESQL}", "extension", "man", "locale")
    for file in sorted((unpacked / f"usr/share/{_POSTGRESQL}/extension").glob("plpgsql*")):
        debian.copy(unpacked, made, str(file.relative_to(unpacked)))
    debian.copy(unpacked, made, "usr/share/zoneinfo", "posix", "right")
    debian.copy(unpacked, made, "usr/lib/locale/C.utf8")
    debian.write(made / "bin/sh", _SHELL.read_text())
    (made / "bin/sh").chmod(0o755)


_BUSYBOX_NAMES = ("sh", "chmod", "mkdir", "rm")


def _busybox(unpacked: Path, made: Path) -> None:
    """A shell that makes and removes directories: what pods do that prepare a volume on a machine (the image of their
    author has one as well)."""
    debian.copy(unpacked, made, "bin/busybox")
    for name in _BUSYBOX_NAMES:
        (made / "bin" / name).symlink_to("busybox")


TREES = {
    tree.name: tree
    for tree in (
        Tree("nftables", ("nftables",), _nftables, ()),
        Tree("netfilter", ("nftables", "iptables", "conntrack", "netbase"), _netfilter, _NETFILTER_NAMES),
        Tree("authorities", ("ca-certificates",), debian.authorities, ()),
        Tree(
            "postgresql",
            (f"postgresql-{versions.POSTGRESQL}", "libc-bin", "tzdata"),
            _postgresql,
            (*_MODULES, _SHELL.read_text()),
        ),
        Tree("busybox", ("busybox-static",), _busybox, _BUSYBOX_NAMES),
    )
}


def program(name: str) -> go_build.Built:
    """A program of a cluster, built when it is missing. Raises :class:`DriverError`."""
    return pause.ensure() if name == "pause" else go_build.ensure(BY_NAME[name])


def place_of(name: str) -> Path:
    """Where it is kept, built or not: another place for another program."""
    return pause.folder() / name if name == "pause" else go_build.folder(BY_NAME[name].module) / BY_NAME[name].name


def fill(plan: ClusterImage, tree: Path) -> None:
    """Put the programs of an image into a tree, with who there is and a directory for everybody's files."""
    for name in plan.programs:
        built = program(name)
        _link(built.program, tree / plan.directory / built.program.name)
        _link(built.licences, tree / LICENCES / built.program.name / "licences")
    number = plan.user.partition(":")[0]
    ours = "" if number == "0" else f"{plan.name}:x:{number}:{number}:{plan.name}:/nonexistent:/nonexistent\n"
    debian.write(tree / "etc/passwd", f"root:x:0:0:root:/:/nonexistent\n{ours}")
    debian.write(tree / "etc/group", "root:x:0:\n" + (f"{plan.name}:x:{number}:\n" if ours else ""))
    debian.write(tree / "etc/nsswitch.conf", "hosts: files dns\n")
    (tree / "tmp").mkdir()
    (tree / "tmp").chmod(0o1777)


def _link(source: Path, target: Path) -> None:
    """The same file twice, where the file system can do so: programs are large."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)

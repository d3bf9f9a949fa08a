"""The tree that images of our own programs begin with: Debian's Python with what it needs, and no other program."""

import subprocess
from pathlib import Path

from stacks.images import debian
from stacks.images.table import USER
from stacks.machines.driver import DriverError

PYTHON = "3.11"
"""The suite's own Python."""
PACKAGES = (
    f"python{PYTHON}-minimal",
    f"libpython{PYTHON}-stdlib",
    "libssl3",
    "libstdc++6",
    "zlib1g",
    "ca-certificates",
)
_UNUSED = ("ensurepip", "idlelib", "lib2to3", "pydoc_data", "tkinter", "turtledemo")
_FILES = {
    "etc/passwd": f"root:x:0:0:root:/:/nonexistent\nmeshwright:x:{USER}:{USER}:meshwright:/nonexistent:/nonexistent\n",
    "etc/group": f"root:x:0:\nmeshwright:x:{USER}:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}


def ensure(mirror: str = "") -> Path:
    """The tree, made when it is missing and kept in the cache. Raises :class:`DriverError`.

    ``mirror``: where Debian's packages come from; else this host's own source, else Debian's.
    """
    return debian.ensure(tree(), mirror)


def tree() -> debian.Tree:
    """What it is made of."""
    return debian.Tree("python", PACKAGES, _select, (*_UNUSED, *_FILES.values()), "3")


def _select(unpacked: Path, made: Path) -> None:
    """Python, its modules, the libraries, and the names of authorities."""
    debian.copy(unpacked, made, f"usr/bin/python{PYTHON}")
    (made / "usr/bin/python3").symlink_to(f"python{PYTHON}")
    debian.copy(unpacked, made, f"usr/lib/python{PYTHON}", *_UNUSED)
    debian.libraries(unpacked, made)
    debian.authorities(unpacked, made)
    for name, text in _FILES.items():
        debian.write(made / name, text)
    (made / "tmp").mkdir()
    (made / "tmp").chmod(0o1777)
    compile_modules(made, made, f"usr/lib/python{PYTHON}")


def compile_modules(base: Path, tree: Path, directory: str) -> None:
    """Bytecode for the modules in a directory of ``tree``, made by the Python of ``base``: a container may write none, and
    would compile at each start. Python does not look whether it is older than the module, as nobody changes these."""
    libraries = ":".join(str(base / directory) for directory in debian.LIBRARIES)
    python = [
        str(base / debian.LOADER),
        "--library-path",
        libraries,
        str(base / "usr/bin/python3"),
    ]
    command = [*python, "-S", "-m", "compileall", "-q", "--invalidation-mode=unchecked-hash"]
    command += ["-s", str(tree), "-p", "/", str(tree / directory)]
    # The bytes depend on the hash seed as well.
    environment = {"PYTHONHOME": str(base / "usr"), "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise DriverError(f"modules of images could not be compiled: {(done.stdout + done.stderr).strip()[-1500:]}")

"""The tree that all images begin with: Debian's Python with what it needs, and no other program."""

import hashlib
import shutil
import subprocess
from pathlib import Path

from stacks.images.table import USER
from stacks.machines import image
from stacks.machines.driver import DriverError

SUITE = "bookworm"
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
BILL = "usr/share/meshwright/debian-packages"
"""Where an image says which packages it is made of: the checksum and the name of each."""
_LIBRARIES = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")
_UNUSED = ("ensurepip", "idlelib", "lib2to3", "pydoc_data", "tkinter", "turtledemo")
_AUTHORITIES = "usr/share/ca-certificates"
_FILES = {
    "etc/passwd": f"root:x:0:0:root:/:/nonexistent\nmeshwright:x:{USER}:{USER}:meshwright:/nonexistent:/nonexistent\n",
    "etc/group": f"root:x:0:\nmeshwright:x:{USER}:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}
_VERSION = "2"
"""Another one when what is done with the packages changes."""


def ensure(mirror: str = "") -> Path:
    """The tree, made when it is missing and kept in the cache. Raises :class:`DriverError`.

    ``mirror``: where Debian's packages come from; else this host's own source, else Debian's.
    """
    source = mirror or image.host_mirror(SUITE) or image.OFFICIAL
    recipe = "\n".join((_VERSION, SUITE, source, *PACKAGES, *_UNUSED, *_FILES.values()))
    return image.kept(
        f"python-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}",
        source,
        lambda made, lock: _make(source, made, lock),
    )


def _make(source: str, made: Path, lock: int) -> None:
    unpacked = made.with_name(f".unpacked-{made.name}")
    shutil.rmtree(unpacked, ignore_errors=True)
    try:
        # As they are: no script of theirs runs, and apt has checked their signatures.
        bill = f'mkdir -p "$1/{Path(BILL).parent}" && cd "$1/var/cache/apt/archives" && sha256sum *.deb > "$1/{BILL}"'
        image.unpack(SUITE, source, PACKAGES, unpacked, lock, "extract", f"--extract-hook={bill}")
        _select(unpacked, made)
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)


def _select(unpacked: Path, made: Path) -> None:
    """Python, its modules, the libraries, what their authors ask to be kept with them, and the names of authorities."""
    _copy(unpacked, made, f"usr/bin/python{PYTHON}")
    (made / "usr/bin/python3").symlink_to(f"python{PYTHON}")
    _copy(unpacked, made, f"usr/lib/python{PYTHON}", *_UNUSED)
    for directory in _LIBRARIES:
        for library in sorted((unpacked / directory).glob("*.so*")):
            _copy(unpacked, made, str(library.relative_to(unpacked)))
    _copy(unpacked, made, "lib64")
    for licence in sorted((unpacked / "usr/share/doc").glob("*/copyright")):
        _copy(unpacked, made, str(licence.relative_to(unpacked)))
    _copy(unpacked, made, BILL)
    authorities = sorted((unpacked / _AUTHORITIES).rglob("*.crt"))
    _write(made / "etc/ssl/certs/ca-certificates.crt", "".join(found.read_text() for found in authorities))
    for name, text in _FILES.items():
        _write(made / name, text)
    (made / "tmp").mkdir()
    (made / "tmp").chmod(0o1777)
    compile_modules(made, made, f"usr/lib/python{PYTHON}")


def compile_modules(base: Path, tree: Path, directory: str) -> None:
    """Bytecode for the modules in a directory of ``tree``, made by the Python of ``base``: a container may write none, and
    would compile at each start. Python does not look whether it is older than the module, as nobody changes these."""
    libraries = ":".join(str(base / directory) for directory in _LIBRARIES)
    python = [
        str(base / _LIBRARIES[0] / "ld-linux-x86-64.so.2"),
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


def _copy(unpacked: Path, made: Path, name: str, *unused: str) -> None:
    source, target = unpacked / name, made / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "test", *unused))
    else:
        shutil.copy2(source, target, follow_symlinks=False)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)

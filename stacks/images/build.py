"""From a plan to its archive: our wheels on top of the base tree."""

import hashlib
import importlib.metadata
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from stacks.images import base, debian
from stacks.images.archive import Layer, Settings, write
from stacks.images.index import digest_of
from stacks.images.table import USER, ImagePlan
from stacks.images.trees import TREES
from stacks.machines.driver import DriverError

PACKAGES = f"usr/local/lib/python{base.PYTHON}/dist-packages"
"""Where Debian's Python looks for what did not come as a package of Debian."""
_NOT_SAME = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")
"""What pip notes about the installation, which names places of this machine."""


def reference(plan: ImagePlan, repository: str) -> str:
    """The image's name, with our version for its tag."""
    return f"{repository}/{plan.name}:{_version()}"


def build(plan: ImagePlan, wheels: Path, target: Path, repository: str, mirror: str = "") -> str:
    """Writes the archive of an image; returns its digest.

    ``wheels`` is the archive that ``tools/wheelhouse`` makes, ``repository`` the beginning of the image's name
    (``REPOSITORY/NAME:VERSION``). Raises :class:`DriverError` with the words of what failed.
    """
    settings = Settings(
        # Isolated: no variable and no file of a mounted directory adds to what it imports.
        entrypoint=(f"/usr/bin/python{base.PYTHON}", "-I", "-m", plan.module),
        user=f"{USER}:{USER}",
        environment={"SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt"},
        ports=plan.ports,
        labels={"org.opencontainers.image.version": _version(), "org.opencontainers.image.title": plan.name},
    )
    tree = base.ensure(mirror)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="meshwright-image-") as scratch:
        ours = Path(scratch, "ours")
        _install(plan, wheels, Path(scratch), ours / PACKAGES)
        base.compile_modules(tree, ours, PACKAGES)
        if plan.state:
            (ours / plan.state).mkdir(parents=True)
        beside = [Layer(debian.ensure(TREES[plan.packages], mirror))] if plan.packages else []
        layers = [Layer(tree), *beside, Layer(ours, {plan.state: USER} if plan.state else {})]
        return write(target, reference(plan, repository), layers, settings)


def recipe(plan: ImagePlan, wheels: Path, mirror: str = "") -> str:
    """Changes when anything does that the archive is made of, the modules of this package among it."""
    found = hashlib.sha256(f"{plan!r} {_version()} {digest_of(wheels)}".encode())
    for tree in (base.tree(), *([TREES[plan.packages]] if plan.packages else [])):
        found.update(debian.kept(tree, mirror).name.encode())
    for module in sorted(Path(__file__).parent.glob("*.py")):
        found.update(module.read_bytes())
    return found.hexdigest()


def _version() -> str:
    return importlib.metadata.version("meshwright")


def _install(plan: ImagePlan, wheels: Path, scratch: Path, target: Path) -> None:
    """The wheels of a program and of what it depends on, for the image's Python, whatever Python runs here. Their checksums
    were looked at when the archive was made."""
    with tarfile.open(wheels) as archive:
        archive.extractall(scratch / "wheels", filter="data")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", f"--find-links={scratch / 'wheels'}"]
    command += ["--only-binary=:all:", "--implementation=cp", f"--python-version={base.PYTHON}", "--no-compile"]
    command += [f"--platform={platform}" for platform in _platforms(scratch / "wheels")]
    command += [f"--target={target}", "--disable-pip-version-check", "--root-user-action=ignore", *plan.requirements]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DriverError(f"image {plan.name}: {done.stderr.strip()[-1500:]}")
    shutil.rmtree(target / "bin", ignore_errors=True)  # scripts begin with the path of the Python that runs here
    for name in _NOT_SAME:
        for noted in target.glob(f"*.dist-info/{name}"):
            noted.unlink()


def _platforms(wheels: Path) -> list[str]:
    """Those of the wheels themselves, which were chosen for hosts of the same Debian (PEP 427: the last part of a name)."""
    named = {part for wheel in wheels.glob("*.whl") for part in wheel.stem.rpartition("-")[2].split(".")}
    return sorted(named - {"any"})

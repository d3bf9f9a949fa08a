"""The archive of wheels that hosts install from: our own, and every dependency of the lock ``host`` with its hash checked.

The wheels are for the hosts' Python (``TARGET_PYTHON``, default 3.11 as in Debian 12) on x86-64 Linux, whatever Python runs
here. Beside our plain wheel lies the compiled one, which hosts prefer, where this machine can build it for them;
``HOST_WHEEL=plain`` leaves it out. Third-party wheels are kept by the lock's hash; ours are built anew when a source changed.
The archive's bytes depend on its content alone, so an unchanged project gives an unchanged archive, and an unchanged host.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import shutil
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

from meshwright_tools import compiled, locks
from meshwright_tools.checkout import Checkout, here
from meshwright_tools.progress import Progress, StepError
from meshwright_tools.python_environment import installer_settings
from meshwright_tools.sources import source_files

PLATFORMS = ("manylinux_2_36_x86_64", "manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
"""Wheel platforms that Debian 12 (glibc 2.36) runs."""
LIBC = "2.36"
"""That of Debian 12."""
ARCHIVE = "wheels.tar"


def target_markers(python: str) -> dict[str, str]:
    """The environment of a host, in the words of markers."""
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "os_name": "posix",
        "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
    }


def requirements_for(lock: str, python: str) -> str:
    """The lock's requirements that apply to a host, without markers: pip would judge those by the Python it runs under."""
    from packaging.markers import Marker

    environment = target_markers(python)
    lines = []
    for pin in locks.pins(lock):
        if pin.marker and not Marker(pin.marker).evaluate(environment):
            continue
        hashes = "".join(f" \\\n    --hash={digest}" for digest in pin.hashes)
        lines.append(f"{pin.name}=={pin.version}{hashes}\n")
    return "".join(lines)


def third_party(checkout: Checkout, python: str, progress: Progress, environment: Mapping[str, str]) -> Path:
    """The directory with the wheels of all dependencies."""
    lock = (checkout.requirements / "host.txt").read_text()
    wanted = requirements_for(lock, python)
    key = hashlib.sha256(f"{python}\n{wanted}".encode()).hexdigest()[:16]
    target = checkout.state / "wheelhouse" / f"cp{python.replace('.', '')}-{key}"
    if target.is_dir():
        return target
    fresh = target.with_name(f".{target.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    (fresh / "requirements.txt").write_text(wanted)
    command = [str(checkout.venv / "bin" / "python"), "-m", "pip", "download", "--no-deps", "--require-hashes"]
    command += ["--only-binary=:all:", "--implementation=cp", f"--python-version={python}"]
    command += [f"--platform={platform}" for platform in PLATFORMS]
    command += ["--dest", str(fresh), "-r", str(fresh / "requirements.txt")]
    title = f"Wheels of {wanted.count('==')} dependencies for Python {python}"
    progress.run(title, command, checkout.logs / "wheelhouse.log", installer_settings(environment))
    fresh.rename(target)
    return target


def own_wheel(project: Path, checkout: Checkout, progress: Progress) -> Path:
    """Build the wheel of one of our distributions, unless the one at hand was built from these sources."""
    digest = hashlib.sha256()
    for file in source_files(project):
        digest.update(f"{file.relative_to(project)}\0".encode() + file.read_bytes())
    name = "meshwright" if project == checkout.root else project.name
    target = checkout.state / "wheelhouse" / f"own-{name}-{digest.hexdigest()[:16]}"
    found = sorted(target.glob("*.whl"))
    if found:
        return found[0]
    fresh = target.with_name(f".{target.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    command = [str(checkout.venv / "bin" / "python"), "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    command += ["--no-index", "--wheel-dir", str(fresh), str(project)]
    progress.run(f"Wheel of {name}", command, checkout.logs / "wheel.log")
    for stale in target.parent.glob(f"{target.name.rsplit('-', 1)[0]}-*"):
        shutil.rmtree(stale)
    fresh.rename(target)
    return sorted(target.glob("*.whl"))[0]


def compiled_wheel(checkout: Checkout, progress: Progress, python: str, environment: Mapping[str, str]) -> list[Path]:
    """The compiled wheel, where one is wanted and can be had; else why not is told, and the plain one does.

    Raises :class:`StepError` when compiling fails, or ``HOST_WHEEL`` is neither of its words.
    """
    wanted = environment.get("HOST_WHEEL", "compiled")
    if wanted not in ("compiled", "plain"):
        raise StepError(f"HOST_WHEEL={wanted}: write compiled (default), or plain")
    if wanted == "plain":
        return []
    if lacking := compiled.missing() or compiled.foreign(python):
        progress.say(f"==> hosts get the plain wheel, whose proxies need more CPU: {lacking}")
        return []
    try:
        made = compiled.wheel(checkout, progress)
    except StepError as error:
        raise StepError(f"{error}; HOST_WHEEL=plain does without the compiled wheel") from None
    if newest := compiled.newer_libc(made, LIBC):
        progress.say(f"==> hosts get the plain wheel: what is compiled here needs glibc {newest}, and they have {LIBC}")
        return []
    return [made]


def write_archive(wheels: list[Path], target: Path) -> bool:
    """Write the wheels into a tar whose bytes depend on their names and content alone; returns whether it changed."""
    fresh = target.with_name(f".{target.name}.new")
    with tarfile.open(fresh, "w", format=tarfile.PAX_FORMAT) as tar:
        for wheel in sorted(wheels, key=lambda path: path.name):
            member = tarfile.TarInfo(wheel.name)
            member.size, member.mode = wheel.stat().st_size, 0o644
            with wheel.open("rb") as content:
                tar.addfile(member, content)
    changed = not target.exists() or _digest(fresh) != _digest(target)
    if changed:
        fresh.replace(target)
    else:
        fresh.unlink()
    return changed


def _digest(path: Path) -> str:
    content = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            content.update(block)
    return content.hexdigest()


def ensure(
    checkout: Checkout,
    progress: Progress,
    python: str,
    environment: Mapping[str, str] = os.environ,
    archive: Path | None = None,
) -> Path:
    """Bring the archive (``.meshwright/wheels.tar`` unless another is named) and ``dist/`` up to date; its path."""
    checkout.private_state()
    with (checkout.state / ".wheelhouse.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        wheels = sorted(third_party(checkout, python, progress, environment).glob("*.whl"))
        demo = checkout.root / "examples" / "demo"
        projects = [checkout.root, *([demo] if (demo / "pyproject.toml").exists() else [])]
        own = [own_wheel(project, checkout, progress) for project in projects]
        (checkout.root / "dist").mkdir(exist_ok=True)
        for wheel in own:
            shutil.copy(wheel, checkout.root / "dist" / wheel.name)
        archive = archive or checkout.state / ARCHIVE
        own += compiled_wheel(checkout, progress, python, environment)
        changed = write_archive([*wheels, *own], archive)
    progress.say(f"==> {len(wheels) + len(own)} wheels are in {archive}{'' if changed else ' (unchanged)'}")
    return archive


def main() -> int:
    """``tools/wheelhouse``: prints the path of the archive."""
    parser = argparse.ArgumentParser(prog="tools/wheelhouse", description="Make the archive of wheels for hosts.")
    parser.add_argument("--python", default=os.environ.get("TARGET_PYTHON", "3.11"), metavar="X.Y")
    parser.add_argument("--archive", type=Path, metavar="FILE", help=f"write it there (default: .meshwright/{ARCHIVE})")
    arguments = parser.parse_args()
    try:
        print(ensure(here(), Progress(), arguments.python, archive=arguments.archive))
    except StepError as error:
        print(f"tools/wheelhouse: {error}", file=sys.stderr)
        return 1
    return 0

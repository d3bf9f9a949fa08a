"""Finds or makes a Pulumi: the installed one, else the official release, else a build of the Go module with our host.

A release is taken by the checksum that this checkout pins for it (``tools/lock pulumi`` notes them beside the module), as a
module is by ``go.sum``. Where none is pinned, the module is built, which is; only without a Go for it, or where
``MESHWRIGHT_PULUMI_RELEASES`` names a place that is to be trusted, the checksums beside the release are believed.

Releases come with a language host for Python; the Go module does not (see ``tools/pulumi-host``). A bare ``go build``
has no version, which Pulumi's automation API refuses, so the build stamps it.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import platform
import re
import shutil
import socket
import subprocess
import tarfile
import threading
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from meshwright_tools.checkout import Checkout
from meshwright_tools.progress import Progress, StepError

OLDEST = (3, 200, 0)
"""Pulumi's engines promise to serve SDKs of the same major version; older than this was never tried with ours."""

RELEASES = "https://github.com/pulumi/pulumi/releases/download/v{version}"
"""Default of ``MESHWRIGHT_PULUMI_RELEASES``: where the release's archive and checksums lie. Empty: do not download."""

CHECKSUMS = Path("tools", "pulumi-cli", "checksums.txt")
"""SHA-256 and name of each archive of the pinned release, as the release has them; below the checkout. May be missing."""

MODULE = "github.com/pulumi/pulumi/pkg/v3"
STAMPED = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
ANSWER_WITHIN = 5.0
"""Seconds in which the download's server must answer."""
OLDEST_GO = (1, 21)
"""The first Go that fetches the toolchain which go.mod asks for."""


def pinned_version(checkout: Checkout) -> str:
    """The version that ``tools/pulumi-cli/go.mod`` requires; the Python package's pin in pyproject.toml equals it."""
    text = (checkout.root / "tools" / "pulumi-cli" / "go.mod").read_text()
    found = re.search(rf"^\s*(?:require )?{re.escape(MODULE)} v(\S+)", text, re.MULTILINE)
    if not found:
        raise StepError(f"tools/pulumi-cli/go.mod does not require {MODULE}")
    return found.group(1)


def pinned_checksums(checkout: Checkout) -> dict[str, str]:
    """The SHA-256 of each archive of the pinned release, by its name; empty where this checkout has none."""
    file = checkout.root / CHECKSUMS
    found = _read_checksums(file.read_text()) if file.exists() else {}
    return {name: digest for name, digest in found.items() if f"-v{pinned_version(checkout)}-" in name}


def pin_checksums(checkout: Checkout, progress: Progress, environment: Mapping[str, str] = os.environ) -> None:
    """Note the checksums of the pinned release. Raises :class:`StepError` where they cannot be had."""
    version = pinned_version(checkout)
    base = _releases(checkout, environment)
    with progress.step(f"{CHECKSUMS}: Pulumi {version}, from {base}"):
        try:
            if not base or not answers(base):
                raise OSError("no way there")
            text = _fetch(f"{base}/pulumi-{version}-checksums.txt").decode()
        except OSError as error:
            raise StepError(
                f"the checksums of Pulumi {version} are not to be had from {base or 'nowhere'}: {error}"
            ) from None
        archives = {name: digest for name, digest in _read_checksums(text).items() if name.endswith(".tar.gz")}
        if not archives:
            raise StepError(f"{base}: the checksums of Pulumi {version} name no archive")
        (checkout.root / CHECKSUMS).write_text("".join(f"{digest}  {name}\n" for name, digest in archives.items()))


def _read_checksums(text: str) -> dict[str, str]:
    parts = (line.split() for line in text.splitlines())
    return {part[1].lstrip("*"): part[0] for part in parts if len(part) == 2}


def _releases(checkout: Checkout, environment: Mapping[str, str]) -> str:
    base = environment.get("MESHWRIGHT_PULUMI_RELEASES", RELEASES)
    return base.format(version=pinned_version(checkout)).rstrip("/")


def home(checkout: Checkout) -> Path:
    """The directory of the pinned Pulumi in the cache; the programs are in its ``bin``."""
    return checkout.cache / f"pulumi-{pinned_version(checkout)}"


def version_of(program: Path) -> tuple[int, ...] | None:
    """What ``pulumi version`` says, as numbers; None when it does not run."""
    environment = dict(os.environ, PULUMI_SKIP_UPDATE_CHECK="true")
    try:
        done = subprocess.run(
            [str(program), "version"], capture_output=True, text=True, timeout=60, check=False, env=environment
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.match(r"v(\d+)\.(\d+)\.(\d+)", done.stdout.strip())
    return tuple(map(int, found.groups())) if found else None


def installed(environment: Mapping[str, str], own: Path) -> Path | None:
    """The directory of a suitable Pulumi on PATH (new enough, with its Python host), leaving ours in the cache aside."""
    search = os.pathsep.join(entry for entry in environment.get("PATH", "").split(os.pathsep) if Path(entry) != own)
    found = shutil.which("pulumi", path=search)
    if not found:
        return None
    version = version_of(Path(found))
    if version is None or version[0] != OLDEST[0] or version < OLDEST:
        return None
    beside = Path(found).resolve().parent
    host = shutil.which("pulumi-language-python", path=os.pathsep.join([str(beside), search]))
    return Path(found).parent if host else None


def find(checkout: Checkout, environment: Mapping[str, str] = os.environ) -> Path | None:
    """The directory of the Pulumi to use, without making anything; None when :func:`ensure` must be called."""
    own = home(checkout) / "bin"
    return installed(environment, own) or (own if _is_complete(checkout, own) else None)


def ensure(checkout: Checkout, progress: Progress, environment: Mapping[str, str] = os.environ) -> Path:
    """The directory with ``pulumi`` in it, made where needed. Safe to call from several processes at once."""
    own = home(checkout) / "bin"
    system = installed(environment, own)
    if system:
        progress.say(f"==> Pulumi: the installed one ({system / 'pulumi'})")
        return system
    own.mkdir(parents=True, exist_ok=True)
    with (home(checkout) / ".lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not _has_pinned(checkout, own) and not _download(checkout, own, progress, environment):
            _build(checkout, own, progress, environment)
        if _is_built(own):
            _place_host(checkout)
    progress.say(f"==> Pulumi {pinned_version(checkout)} is in {own}")
    return own


def _has_pinned(checkout: Checkout, own: Path) -> bool:
    version = version_of(own / "pulumi")
    return version is not None and ".".join(map(str, version)) == pinned_version(checkout)


def _is_built(own: Path) -> bool:
    """A release brings more than we ask for, among it this program."""
    return not (own / "pulumi-language-python-exec").exists()


def _is_complete(checkout: Checkout, own: Path) -> bool:
    if not _has_pinned(checkout, own):
        return False
    return not _is_built(own) or not _stale_host_files(checkout)


def _host_files(checkout: Checkout) -> dict[Path, Path]:
    """Each file of our language host to its place: scripts beside the binary, Python in ``host``."""
    source, target = checkout.root / "tools" / "pulumi-host", home(checkout)
    files = {file: target / "bin" / file.name for file in (source / "bin").iterdir()}
    for file in source.rglob("*.py"):
        files[file] = target / "host" / file.relative_to(source)
    return files


def _stale_host_files(checkout: Checkout) -> dict[Path, Path]:
    return {
        source: target
        for source, target in _host_files(checkout).items()
        if not target.exists() or target.read_bytes() != source.read_bytes()
    }


def _place_host(checkout: Checkout) -> None:
    """Copy the language host beside the binary, where the engine takes it for bundled; a running one keeps its files."""
    for source, target in _stale_host_files(checkout).items():
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(f".{target.name}.new")
        shutil.copy(source, fresh)
        fresh.replace(target)


def _archive_name(version: str) -> str | None:
    machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}.get(platform.machine().lower())
    system = {"Linux": "linux", "Darwin": "darwin"}.get(platform.system())
    return f"pulumi-v{version}-{system}-{machine}.tar.gz" if machine and system else None


def _download(checkout: Checkout, own: Path, progress: Progress, environment: Mapping[str, str]) -> bool:
    """Take the official release, its archive checked against its checksum; False where it is to be built."""
    version, pinned, base = pinned_version(checkout), pinned_checksums(checkout), _releases(checkout, environment)
    name = _archive_name(version)
    if not base or name is None:
        return False
    trusted = "MESHWRIGHT_PULUMI_RELEASES" in environment
    if not pinned and not trusted and _suits(_go(environment)):
        progress.say(f"==> Pulumi {version}: no checksum of its release is pinned here; building the module, which is")
        return False
    if not answers(base):
        progress.say(f"==> Pulumi {version}: no way to {urllib.parse.urlsplit(base).hostname}; building it instead")
        return False
    with progress.step(f"Pulumi {version}: official release"):
        try:
            wanted = pinned or _read_checksums(_fetch(f"{base}/pulumi-{version}-checksums.txt").decode())
            archive = _fetch(f"{base}/{name}")
        except OSError as error:
            progress.say(f"    not to be had here ({error}); building it instead")
            return False
        found = hashlib.sha256(archive).hexdigest()
        if wanted.get(name) != found:
            raise StepError(
                f"Pulumi {version}: {name} has SHA-256 {found}, {CHECKSUMS if pinned else 'its checksum file'} says"
                f" {wanted.get(name)}. Nothing was installed. Try again, or set MESHWRIGHT_PULUMI_RELEASES to a place that"
                " you trust."
            )
        _unpack(archive, own)
    return True


def answers(url: str) -> bool:
    """Whether the server's name is known soon: a resolver without a network takes its time, and no timeout is kept there."""
    parts = urllib.parse.urlsplit(url)
    if not parts.hostname or urllib.request.getproxies().get(parts.scheme):
        return True
    known = threading.Event()

    def look_up() -> None:
        try:
            socket.getaddrinfo(parts.hostname, None)
        except OSError:
            return
        known.set()

    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(ANSWER_WITHIN)
    return known.is_set()


def _fetch(url: str) -> bytes:
    """The content of a URL; no answer in time is an :class:`OSError`, as every other trouble."""
    with urllib.request.urlopen(url, timeout=ANSWER_WITHIN) as answer:
        content: bytes = answer.read()
    return content


def _unpack(archive: bytes, own: Path) -> None:
    """Put the programs of the archive (all in its directory ``pulumi``) into ``own``, the binary last."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        members = [member for member in tar.getmembers() if member.isfile()]
        for member in sorted(members, key=lambda member: Path(member.name).name == "pulumi"):
            content = tar.extractfile(member)
            if content is None:
                continue
            target = own / Path(member.name).name
            fresh = target.with_name(f".{target.name}.new")
            fresh.write_bytes(content.read())
            fresh.chmod(0o755)
            fresh.replace(target)


def _build(checkout: Checkout, own: Path, progress: Progress, environment: Mapping[str, str]) -> None:
    """Build the Go module that ``tools/pulumi-cli`` pins, with the version stamped in."""
    version = pinned_version(checkout)
    go = _go(environment)
    _check_go(go, version)
    settings = dict(environment, CGO_ENABLED="0", GOFLAGS="-mod=readonly")
    fresh = own / ".pulumi.new"
    command = [str(go), "build", "-trimpath", "-ldflags", f"-s -w -X {STAMPED}=v{version}", "-o", str(fresh)]
    progress.run(
        f"Pulumi {version}: building it with Go (3 to 13 minutes the first time)",
        [*command, f"{MODULE}/cmd/pulumi"],
        checkout.logs / "pulumi-build.log",
        settings,
        checkout.root / "tools" / "pulumi-cli",
    )
    fresh.replace(own / "pulumi")


def _go(environment: Mapping[str, str]) -> str | None:
    return shutil.which("go", path=environment.get("PATH")) or shutil.which("/usr/local/go/bin/go")


def _go_version(go: str) -> str:
    return subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False).stdout.strip()


def _suits(go: str | None) -> bool:
    found = re.match(r"go(\d+)\.(\d+)", _go_version(go)) if go else None
    return found is not None and tuple(map(int, found.groups())) >= OLDEST_GO


def _check_go(go: str | None, version: str) -> None:
    mend = (
        f"install Pulumi >= {'.'.join(map(str, OLDEST))} yourself (then it is used), or Go >= 1.21 from the Go project"
        " (Debian 12's package golang is 1.19, too old: it cannot fetch the toolchain that Pulumi needs), and run again."
    )
    if go is None:
        raise StepError(
            f"Pulumi {version} is neither installed nor to be downloaded here, and there is no Go to build it: {mend}"
        )
    if not _suits(go):
        raise StepError(f"Pulumi {version}: {go} is {_go_version(go) or 'broken'}: {mend}")

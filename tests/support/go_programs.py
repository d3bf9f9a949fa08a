"""Go programs against which ours is held: small ones over Istio's own code, built once and kept in the cache by version and
source, and those of a Kubernetes cluster, which :mod:`stacks.images` builds.

Run as a program it builds them all, as the gate does beside its first tests; a test that needs one waits for it, or builds it
itself. Modules come from where Go is set to take them.
"""

import fcntl
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from stacks.images import go_build, programs

HERE = Path(__file__).parent
PROGRAMS = ("istio_verdicts", "istio_analyzers", "istio_compiler", "istio_ca_client")
"""Folders beside this module."""
H2SPEC = "github.com/summerwind/h2spec/cmd/h2spec"
"""Package whose version stands in ``h2spec/go.mod``."""
KWOK = "sigs.k8s.io/kwok"
"""Module whose version stands in ``tools/kwok/go.mod``; the program is its ``cmd/kwok``."""
KWOK_STAGES = ("node/fast/node-initialize.yaml", "pod/fast/pod-ready.yaml", "pod/fast/pod-delete.yaml")
"""Of that module's ``kustomize/stage``: a node is ready at once, and so is a pod that has a node; what is deleted is gone."""
GATEWAY_API = "sigs.k8s.io/gateway-api@v1.6.3"
"""Module whose files the tests read; the programs need another version of it."""
KUBERNETES_PROGRAMS = ("kube-apiserver", "etcd")
"""Those that most tests with a cluster's objects run."""
BUILD_SECONDS = 2400
"""A first build compiles for some three minutes on two cores; later ones take seconds."""


class NotBuiltError(Exception):
    """A program cannot be had here, and why."""


def build(name: str) -> Path:
    """The program of that folder: what ``MESHWRIGHT_NAME`` names, else the one in the cache, else built now.

    Raises :class:`NotBuiltError` without Go or without its modules; a program that does not compile is an error.
    """
    given = os.environ.get(f"MESHWRIGHT_{name.upper()}", "")
    if given:
        return Path(given)
    source, title = HERE / name, name.replace("_", "-")
    folder = cache() / f"{title}-{_version(source)}"
    program = folder / f"{title}-{_digest(source)}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not program.exists():
            _build(source, program)
    return program


def go() -> str | None:
    """The ``go`` command; ``None`` where there is none."""
    return shutil.which("go") or shutil.which("/usr/local/go/bin/go")


def module(name: str, source: Path = HERE / PROGRAMS[0]) -> Path | None:
    """The folder of a module in Go's cache (``NAME@VERSION``, or a name in the version that a program takes); ``None``: it is
    not there."""
    command = go()
    if command is None:
        return None
    if "@" in name:
        cache = subprocess.run([command, "env", "GOMODCACHE"], capture_output=True, text=True, timeout=60, check=False)
        found = Path(cache.stdout.strip()) / name
    else:
        asked = [command, "list", "-m", "-f", "{{.Dir}}", name]
        environment = os.environ | {"GOPROXY": "off", "GOFLAGS": "-mod=readonly"}
        listed = subprocess.run(
            asked, cwd=source, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        if listed.returncode or not listed.stdout.strip():
            return None
        found = Path(listed.stdout.strip())
    return found if found.is_dir() else None


def cache() -> Path:
    """As the tools' ``checkout.here``: what outlives a checkout."""
    given = os.environ.get("MESHWRIGHT_CACHE")
    if given:
        return Path(given).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "meshwright"


def build_kubernetes() -> Path:
    """The folder with a kube-apiserver and an etcd, in the cache or built now: some ten minutes on two cores.

    Raises :class:`NotBuiltError` without Go or without the modules.
    """
    apiserver, _etcd = map(kubernetes_program, KUBERNETES_PROGRAMS)
    return apiserver.parent


def kubernetes_program(name: str) -> Path:
    """A program of a cluster, as its images and nodes have it. Raises :class:`NotBuiltError` as the others do."""
    try:
        return go_build.ensure(programs.BY_NAME[name]).program
    except go_build.UnavailableError as error:
        raise NotBuiltError(str(error)) from error


def build_h2spec() -> Path:
    """h2spec, which asks a server of HTTP/2 what the RFCs want, in the cache or built now.

    Raises :class:`NotBuiltError` without Go or without its modules.
    """
    return _pinned(HERE / "h2spec", H2SPEC)


def build_kwok() -> Path:
    """kwok, which plays the nodes of a cluster and their pods without running anything, in the cache or built now: some four
    minutes on two cores. Beside it ``stages.yaml`` says what becomes of a node and of a pod.

    Raises :class:`NotBuiltError` without Go or without its modules.
    """
    return _pinned(HERE.parents[1] / "tools" / "kwok", f"{KWOK}/cmd/kwok", _write_stages)


def _pinned(source: Path, package: str, accompany: Callable[[Path, Path], None] = lambda source, folder: None) -> Path:
    """The program of a package whose version the module in ``source`` pins, called as that folder; ``accompany`` is given the
    folder and the one in the cache, before the program is there."""
    name = source.name
    folder = cache() / f"{name}-{_digest(source)}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not (folder / name).exists():
            _build(source, folder / name, package, lambda: accompany(source, folder))
    return folder / name


def _write_stages(source: Path, folder: Path) -> None:
    found = module(KWOK, source)
    assert found is not None, f"Go has built {KWOK}, and its files are nowhere"
    texts = [(found / "kustomize" / "stage" / name).read_text(encoding="utf-8") for name in KWOK_STAGES]
    (folder / "stages.yaml").write_text("---\n".join(texts), encoding="utf-8")


def _version(source: Path) -> str:
    """Istio's, of which the code is."""
    found = re.search(r"^\s*istio\.io/istio (\S+)", (source / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    return found[1]


def _digest(source: Path) -> str:
    files = [source / "go.mod", source / "go.sum", *sorted(source.glob("*.go"))]
    content = b"".join(file.read_bytes() for file in files)
    return hashlib.sha256(content).hexdigest()[:16]


def _build(source: Path, program: Path, package: str = ".", accompany: Callable[[], None] = lambda: None) -> None:
    what = f"{source.relative_to(HERE.parents[1])} cannot be built"
    command = go()
    if command is None:
        raise NotBuiltError(f"{what}: there is no Go")
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"}

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [command, *arguments, package],
            cwd=source,
            env=environment,
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
            check=False,
        )

    modules = run("list", "-deps")
    if modules.returncode:
        raise NotBuiltError(f"{what}: its modules are not to be had: {modules.stderr.strip()[-300:]}")
    fresh = program.with_name(f".{program.name}.new")
    made = run("build", "-trimpath", "-ldflags", "-s -w", "-o", str(fresh))
    assert made.returncode == 0, made.stderr
    accompany()
    fresh.replace(program)


def main() -> None:
    """Build them all; what cannot be had is told, and is no failure."""
    command = go()
    if command is not None:
        subprocess.run([command, "mod", "download", GATEWAY_API], cwd=HERE / PROGRAMS[0], check=False)
    # Those of the minor version before are built by the tests that are run when they are asked for.
    others = [name for name, found in programs.BY_NAME.items() if found.module is not programs.PREVIOUS]
    of_clusters = [*KUBERNETES_PROGRAMS, *(name for name in others if name not in KUBERNETES_PROGRAMS)]
    makers: list[Callable[[], Path]] = [
        *(functools.partial(build, name) for name in PROGRAMS),
        build_h2spec,
        *(functools.partial(kubernetes_program, name) for name in of_clusters),
        build_kwok,
    ]
    for make in makers:
        try:
            sys.stdout.write(f"{make()}\n")
        except NotBuiltError as reason:
            sys.stderr.write(f"{reason}\n")


if __name__ == "__main__":
    main()

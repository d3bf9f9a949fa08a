"""The build hook that makes the compiled wheel: the proxy's data path as one C extension, by mypyc.

It runs in the build backend, which loads this file by its path, and only where it is asked for
(``HATCH_BUILD_HOOK_ENABLE_CUSTOM=true``): a wheel without it is the same source, interpreted. The sources are in the compiled
wheel as well, for tracebacks and for readers; Python prefers the extension beside them.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "mesh_proxy"
INTERPRETED = {
    "mesh_proxy/__init__.py": "there is nothing in it",
    "mesh_proxy/__main__.py": "`python -m` wants the source of what it runs",
    "mesh_proxy/worker/__main__.py": "`python -m` wants the source of what it runs",
    "mesh_proxy/supervisor/": "asyncio, gRPC and the pages of administration: no traffic passes there",
    "mesh_proxy/bootstrap.py": "read once, by the supervisor",
    "mesh_proxy/checking.py": "run once, by hand",
    "mesh_proxy/document.py": "read once, by the supervisor",
    "mesh_proxy/overload.py": "read once, by the supervisor",
    "mesh_proxy/static_secrets.py": "read once, by the supervisor",
    "mesh_proxy/ipc.py": "its messages are pickled",
    "mesh_proxy/support.py": "read once for each configuration",
    "mesh_proxy/authorization/explain.py": "for people who ask, not for connections",
    "mesh_proxy/authorization/wording.py": "for people who ask, not for connections",
    "mesh_proxy/native.py": "what mypyc itself reads",
}
"""Files and folders of the package that stay as they are, and why. Everything else is one group: a call between two modules
of it is a call of C."""


_COMPILER = ("-fvisibility=hidden", "-fno-plt")
"""Modules of the group call each other without a detour; nobody else calls them but by Python."""

LIBRARIES = "MESHWRIGHT_LIBRARIES"
"""Names a folder to keep the libraries in, and to take them from when it is there: compiling takes minutes."""


def compiled_modules(root: Path) -> Iterator[str]:
    """The files that are compiled, relative to the checkout."""
    for path in sorted((root / PACKAGE).rglob("*.py")):
        name = path.relative_to(root).as_posix()
        if not any(name == left or (left.endswith("/") and name.startswith(left)) for left in INTERPRETED):
            yield name


class CompiledDataPath(BuildHookInterface[Any]):
    """Compiles for the Python that runs it, and marks the wheel with that Python's tag."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """See :class:`~hatchling.builders.hooks.plugin.interface.BuildHookInterface`."""
        if self.target_name != "wheel" or version == "editable":
            return
        with tempfile.TemporaryDirectory(prefix="meshwright-compiled-") as folder:
            kept = Path(os.environ.get(LIBRARIES) or Path(self.directory) / "libraries")
            if LIBRARIES not in os.environ or not kept.is_dir():
                shutil.rmtree(kept, ignore_errors=True)
                shutil.copytree(compile_into(Path(self.root), Path(folder)), kept)
        for library in sorted(kept.rglob("*.so")):
            build_data["force_include"][str(library)] = library.relative_to(kept).as_posix()
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


def compile_into(root: Path, folder: Path) -> Path:
    """Compile the data path of the checkout ``root``; the folder, below ``folder``, with the libraries as they are to lie."""
    from mypyc.build import mypycify
    from setuptools import Distribution
    from setuptools.command.build_ext import build_ext

    class _ParallelBuild(build_ext):  # type: ignore[misc]
        """Compiles as many files at once as there are processors; of itself it would do so with extensions alone."""

        def build_extensions(self) -> None:
            one = self.compiler.compile

            def compile_all(sources: list[str], *more: Any, **settings: Any) -> list[str]:
                with ThreadPool() as pool:
                    made = pool.map(lambda source: one([source], *more, **settings), sources, chunksize=1)
                return [name for names in made for name in names]

            self.compiler.compile = compile_all
            super().build_extensions()

    before = Path.cwd()
    os.chdir(root)  # mypy finds its settings and the modules from here
    try:
        # Types are looked at by `make lint`, with everything installed; here are only the wheel's own build needs.
        mypy = [
            "--ignore-missing-imports",
            "--no-warn-unused-ignores",
            "--cache-dir",
            str(folder / "mypy"),
            *compiled_modules(root),
        ]
        # A file of C for each module: as one they take the compiler twice the time, and a gigabyte and a half.
        extensions = mypycify(mypy, target_dir=str(folder / "c"), group_name=PACKAGE, multi_file=True)
        for extension in extensions:
            extension.extra_compile_args += [*_COMPILER]
        distribution = Distribution({"name": PACKAGE, "ext_modules": extensions})
        command = _ParallelBuild(distribution)
        command.build_lib, command.build_temp = str(folder / "lib"), str(folder / "objects")
        command.ensure_finalized()
        command.run()
    finally:
        os.chdir(before)
    return folder / "lib"

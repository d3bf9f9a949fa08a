"""What is compiled, and what decides on it."""

import shutil
import sys
import zipfile
from pathlib import Path

import pytest
from meshwright_tools import build_hook, compiled
from meshwright_tools.checkout import ROOT, Checkout


def test_all_of_the_proxy_is_compiled_but_what_is_named() -> None:
    modules = set(build_hook.compiled_modules(ROOT))
    assert {"mesh_proxy/worker/loop.py", "mesh_proxy/protocol/http1.py", "mesh_proxy/snapshot.py"} <= modules
    assert not [module for module in modules if module.startswith("mesh_proxy/supervisor/")]
    left = {path.relative_to(ROOT).as_posix() for path in (ROOT / "mesh_proxy").rglob("*.py")} - modules
    assert all(any(file.startswith(name) for name in build_hook.INTERPRETED) for file in left)


@pytest.mark.parametrize("name", build_hook.INTERPRETED)
def test_what_is_left_out_is_there(name: str) -> None:
    assert (ROOT / name).exists()


def test_the_libraries_depend_on_the_proxys_sources_and_the_wheel_on_all(tmp_path: Path) -> None:
    for name in ("mesh_proxy/a.py", "mesh_api/b.py", "mesh_cli/c.py"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("")
    checkout = Checkout(tmp_path, tmp_path / "cache")

    def keys() -> tuple[Path, Path]:
        return compiled.kept_libraries(checkout, checkout.cache), compiled.kept_wheel(checkout, checkout.cache)

    before = keys()
    (tmp_path / "mesh_cli" / "c.py").write_text("1")
    after = keys()
    assert after[0] == before[0]
    assert after[1] != before[1]
    (tmp_path / "mesh_proxy" / "a.py").write_text("1")
    assert keys()[0] != before[0]


def test_without_a_compiler_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    assert "apt-get install gcc" in compiled.missing()


def test_what_is_compiled_here_is_for_this_python_alone() -> None:
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert "they have Python 3.2" in compiled.foreign("3.2")
    assert f"PYTHON={own}" not in compiled.foreign(own)


@pytest.mark.parametrize(
    ("symbols", "needed"),
    [(b"GLIBC_2.2.5 GLIBC_2.34", ""), (b"GLIBC_2.34 GLIBC_2.38 GLIBC_2.4", "2.38"), (b"GLIBC_2.36", ""), (b"", "")],
)
def test_what_needs_a_newer_libc_than_hosts_have_is_found(tmp_path: Path, symbols: bytes, needed: str) -> None:
    wheel = tmp_path / "a.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("mesh_proxy/a.so", b"\x7fELF" + symbols)
        archive.writestr("mesh_proxy/text.py", b"GLIBC_9.9")
    assert compiled.newer_libc(wheel, "2.36") == needed

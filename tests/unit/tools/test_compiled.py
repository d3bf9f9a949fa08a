"""What is compiled, and what decides on it."""

import shutil
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

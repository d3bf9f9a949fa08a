"""The licences that are kept with a program: each once, of every module, with those of others that a module holds."""

import shutil
from pathlib import Path

import pytest

from stacks.images import licences
from stacks.images.licences import Package

GO = shutil.which("go") or shutil.which("/usr/local/go/bin/go")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_packages_are_read_as_go_lists_them() -> None:
    listed = "\nexample/a\tv1.2.3\t/cache/a\t/cache/a/sub\n\nmeshwright.dev/tools\t\t/here\t/here\n"
    assert licences.read(listed) == [Package("example/a@v1.2.3", Path("/cache/a"), Path("/cache/a/sub"))]


@pytest.mark.skipif(GO is None, reason="there is no Go, whose own licence is one of them")
def test_each_licence_stands_once_below_its_modules(tmp_path: Path) -> None:
    assert GO is not None
    for name in ("a", "b"):
        write(tmp_path / name / "LICENSE", "You may.\n")
        write(tmp_path / name / "licence.go", "package licence")
        write(tmp_path / name / "license" / "other", "a directory")
    write(tmp_path / "b/third_party/c/COPYING.txt", "You may, too.")
    write(tmp_path / "LICENSE", "Of something else.")
    packages = [
        Package("example/a@v1", tmp_path / "a", tmp_path / "a"),
        Package("example/b@v1", tmp_path / "b", tmp_path / "b/third_party/c"),
    ]
    parts = licences.text(packages, GO).split("-" * 80 + "\n")
    assert parts[1:5] == ["example/a@v1\nexample/b@v1\n", "\nYou may.\n\n", "example/b@v1\n", "\nYou may, too.\n\n"]
    assert parts[5] == "Go\n"
    assert "package licence" not in "".join(parts)


@pytest.mark.skipif(GO is None, reason="there is no Go, whose own licence is one of them")
def test_a_module_without_a_licence_is_told(tmp_path: Path) -> None:
    assert GO is not None
    (tmp_path / "a").mkdir()
    with pytest.raises(ValueError, match="example/a@v1 has no licence"):
        licences.text([Package("example/a@v1", tmp_path / "a", tmp_path / "a")], GO)

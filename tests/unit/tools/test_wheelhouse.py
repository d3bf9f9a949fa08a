"""The archive of wheels: what goes in, and that equal content gives equal bytes."""

from pathlib import Path

import pytest
from meshwright_tools import compiled, wheelhouse
from meshwright_tools.checkout import Checkout, here
from meshwright_tools.progress import Progress, StepError
from meshwright_tools.sources import source_files

LOCK = """\
always==1.0 \\
    --hash=sha256:aa
old==2.0 ; python_full_version < '3.12' \\
    --hash=sha256:bb
new==3.0 ; python_full_version >= '3.12' \\
    --hash=sha256:cc
windows==4.0 ; sys_platform == 'win32' \\
    --hash=sha256:dd
arm==5.0 ; platform_machine == 'aarch64' \\
    --hash=sha256:ee
"""


def test_markers_are_judged_for_the_hosts_python_not_for_this_one() -> None:
    assert wheelhouse.requirements_for(LOCK, "3.11") == (
        "always==1.0 \\\n    --hash=sha256:aa\nold==2.0 \\\n    --hash=sha256:bb\n"
    )
    assert "new==3.0" in wheelhouse.requirements_for(LOCK, "3.13")


def test_equal_content_gives_equal_bytes_whatever_the_times(tmp_path: Path) -> None:
    archives = []
    for name, order in (("one", "ab"), ("two", "ba")):
        directory = tmp_path / name
        directory.mkdir()
        for letter in order:
            (directory / f"{letter}.whl").write_bytes(letter.encode())
        wheelhouse.write_archive(list(directory.iterdir()), directory / "wheels.tar")
        archives.append((directory / "wheels.tar").read_bytes())
    assert archives[0] == archives[1]


def test_an_unchanged_archive_is_not_touched(tmp_path: Path) -> None:
    wheel, archive = tmp_path / "a.whl", tmp_path / "wheels.tar"
    wheel.write_bytes(b"a")
    assert wheelhouse.write_archive([wheel], archive)
    before = archive.stat()
    assert not wheelhouse.write_archive([wheel], archive)
    assert archive.stat().st_mtime_ns == before.st_mtime_ns
    assert archive.stat().st_ino == before.st_ino
    wheel.write_bytes(b"b")
    assert wheelhouse.write_archive([wheel], archive)


def test_every_package_of_the_distribution_decides_on_its_wheel() -> None:
    root = here().root
    found = {file.relative_to(root).parts[0] for file in source_files(root)}
    assert {"mesh_api", "mesh_cli", "mesh_control", "mesh_policy", "mesh_proxy", "pyproject.toml"} <= found
    assert "tools" not in found


def built(checkout: Checkout, progress: Progress) -> Path:
    return checkout.root / "compiled.whl"


def refused(checkout: Checkout, progress: Progress) -> Path:
    raise StepError("the compiler ran out of memory")


def choice(tmp_path: Path, **settings: str) -> list[Path]:
    return wheelhouse.compiled_wheel(Checkout(tmp_path, tmp_path), Progress(), "3.11", settings)


def test_hosts_get_the_compiled_wheel_where_it_can_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("missing", "foreign", "newer_libc"):
        monkeypatch.setattr(compiled, name, lambda *_: "")
    monkeypatch.setattr(compiled, "wheel", built)
    assert choice(tmp_path) == [tmp_path / "compiled.whl"]
    assert choice(tmp_path, HOST_WHEEL="plain") == []
    with pytest.raises(StepError, match="HOST_WHEEL=fast: write compiled"):
        choice(tmp_path, HOST_WHEEL="fast")
    monkeypatch.setattr(compiled, "newer_libc", lambda *_: "2.99")
    assert choice(tmp_path) == []
    assert "needs glibc 2.99" in capsys.readouterr().err
    monkeypatch.setattr(compiled, "foreign", lambda _: "they have Python 3.11")
    assert choice(tmp_path) == []
    assert "whose proxies need more CPU: they have Python 3.11" in capsys.readouterr().err


def test_where_compiling_fails_the_way_out_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("missing", "foreign"):
        monkeypatch.setattr(compiled, name, lambda *_: "")
    monkeypatch.setattr(compiled, "wheel", refused)
    with pytest.raises(StepError, match="out of memory; HOST_WHEEL=plain does without"):
        choice(tmp_path)

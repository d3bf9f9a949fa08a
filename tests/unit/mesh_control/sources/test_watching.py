"""What is told of changes of files, by the real kernel. What is waited for is the event, up to a deadline."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from mesh_control.sources import watching
from mesh_control.sources.inventory import InventoryFile
from mesh_control.sources.watching import watch

LIMIT = 30.0
Change = Callable[[Path], object]


class Told:
    """Counts what is told, and tells it from what was told before."""

    def __init__(self) -> None:
        self.count = 0
        self._event = asyncio.Event()

    def __call__(self) -> None:
        self.count += 1
        self._event.set()

    async def after(self, change: Callable[[], object], again: Callable[[int], object]) -> None:
        """Until a change is told of. ``again`` makes a further change like it: one that came before the kernel was asked to
        tell is told by nobody."""
        change()
        for attempt in range(int(LIMIT / 0.5)):
            self._event.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._event.wait(), 0.5)
                return
            again(attempt)
        pytest.fail("nothing was told")


@contextlib.asynccontextmanager
async def watching_folder(folder: Path, *, recursive: bool = True, look: float = LIMIT * 2) -> AsyncIterator[Told]:
    """Watched, once the kernel has told of a first file."""
    told = Told()
    task = asyncio.create_task(watch(folder, lambda path: folder in path.parents, told, recursive=recursive, look=look))
    try:
        await told.after(lambda: (folder / "first").touch(), lambda n: (folder / "first").write_text(str(n)))
        yield told
    finally:
        task.cancel()


CHANGES: dict[str, Callable[[Path, str], object]] = {
    "written in place": lambda folder, text: (folder / "demo/a.yaml").write_text(text),
    "renamed over": lambda folder, text: written(folder / "demo/.a.new", text).replace(folder / "demo/a.yaml"),
    "a new folder": lambda folder, text: (folder / f"new{text}").mkdir(),
    "a folder replaced": lambda folder, text: replaced(folder / "demo", text),
    "behind a link": lambda folder, text: (folder / "link/a.yaml").write_text(text),
    "a link replaced": lambda folder, text: relinked(folder, folder.parent / "other"),
}


def written(file: Path, text: str) -> Path:
    file.write_text(text)
    return file


def replaced(folder: Path, text: str) -> None:
    folder.rename(folder.with_name(f".{folder.name}.old{text}"))
    folder.mkdir()
    (folder / "a.yaml").write_text(text)


def relinked(folder: Path, target: Path) -> None:
    (folder / ".link").symlink_to(target)
    (folder / ".link").replace(folder / "link")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("policies/demo", "linked", "other"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "a.yaml").touch()
    (tmp_path / "policies/link").symlink_to(tmp_path / "linked")
    return tmp_path / "policies"


@pytest.mark.parametrize("name", CHANGES)
async def test_changes_are_told(tree: Path, name: str) -> None:
    change = CHANGES[name]
    async with watching_folder(tree) as told:
        await told.after(lambda: change(tree, "one"), lambda n: change(tree, f"again{n}"))


async def test_what_is_behind_a_replaced_link_is_told(tree: Path) -> None:
    async with watching_folder(tree) as told:
        await told.after(lambda: relinked(tree, tree.parent / "other"), lambda n: relinked(tree, tree.parent / "other"))
        behind = tree.parent / "other/a.yaml"
        await told.after(lambda: behind.write_text("b"), lambda n: behind.write_text(str(n)))


async def test_a_folder_that_is_replaced_or_comes_later_is_watched(tree: Path) -> None:
    async with watching_folder(tree, look=0.05) as told:
        shutil.rmtree(tree)
        await told.after(tree.mkdir, lambda n: None)
        before = told.count
        while told.count < before + 2:
            await told.after(lambda: None, lambda n: (tree / "new").write_text(str(n)))


async def test_without_watches_left_it_is_looked_again_and_again(
    tree: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = watching.awatch

    def limited(*paths: Path, force_polling: bool, **options: object) -> object:
        if not force_polling:
            raise OSError("OS file watch limit reached.")
        return real(*paths, force_polling=True, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(watching, "awatch", limited)
    monkeypatch.setattr(watching, "POLL", 0.05)
    async with watching_folder(tree) as told:
        await told.after(lambda: (tree / "demo/b.yaml").touch(), lambda n: (tree / f"demo/b{n}.yaml").touch())
    assert "the kernel tells no changes (OS file watch limit reached.)" in caplog.text


async def test_a_mounted_inventory_is_watched(tmp_path: Path) -> None:
    def mount(version: str) -> None:
        (tmp_path / f"..{version}").mkdir()
        (tmp_path / f"..{version}/inventory.yml").write_text(f"# {version}")
        (tmp_path / "..data_tmp").symlink_to(f"..{version}")
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")

    mount("v1")
    (tmp_path / "inventory.yml").symlink_to("..data/inventory.yml")
    told = Told()
    task = asyncio.create_task(InventoryFile(tmp_path / "inventory.yml").watch(told))
    try:
        await told.after(lambda: mount("v2"), lambda n: mount(f"again{n}"))
    finally:
        task.cancel()

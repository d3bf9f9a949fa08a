"""Being told of changes below a folder: by the kernel (inotify) where it can, else by looking again and again."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from watchfiles import Change, awatch

log = logging.getLogger("mesh_control.sources")

LOOK = 60.0
"""Seconds after which is looked without having been told: for what a kernel does not tell (its queue was full, the folder is
another one now, the file system is another machine's)."""
POLL = 1.0
"""Seconds between two looks where the kernel tells nothing at all."""
JOIN_MS = 20
"""Milliseconds in which changes are joined; a change is told after one to two of these. What vanishes is back before the
control plane's own debounce has ended."""
MOUNT = "..data"
"""The link that Kubernetes replaces when it changes a mounted ConfigMap: the files themselves stay the same links."""


async def watch(
    folder: Path, matters: Callable[[Path], bool], changed: Callable[[], None], *, recursive: bool, look: float = LOOK
) -> None:
    """Call ``changed`` after every change of a path that ``matters``, and every ``look`` seconds. For ever.

    Links to folders are followed. A folder that is not there, or is replaced, is waited for.
    """
    polling = False
    while True:
        try:
            await _watch(folder, matters, changed, recursive, look, polling)
        except FileNotFoundError:
            await asyncio.sleep(min(look, POLL))
        except (OSError, RuntimeError) as error:  # no inotify here, or no watch is left (fs.inotify.max_user_watches)
            if polling:
                raise
            log.warning("%s: the kernel tells no changes (%s): it is looked at every %g s", folder, error, POLL)
            polling = True
        changed()


async def _watch(
    folder: Path,
    matters: Callable[[Path], bool],
    changed: Callable[[], None],
    recursive: bool,
    look: float,
    polling: bool,
) -> None:
    """Until the folder is another one, or a link below it leads to another one, of which nothing would be told."""

    def wanted(_change: Change, path: str) -> bool:
        return matters(Path(path))

    before = _identity(folder)
    changes = awatch(
        folder,
        watch_filter=wanted,
        debounce=JOIN_MS,
        step=JOIN_MS,
        rust_timeout=int(look * 1000),
        yield_on_timeout=True,
        force_polling=polling,
        poll_delay_ms=int(POLL * 1000),
        recursive=recursive,
    )
    async for found in changes:
        changed()
        if _identity(folder) != before or any(_leads_to_folder(Path(path)) for _, path in found):
            return


def _identity(folder: Path) -> tuple[int, int]:
    found = folder.stat()
    return found.st_dev, found.st_ino


def _leads_to_folder(path: Path) -> bool:
    return path.is_symlink() and path.is_dir()

"""A source at work, and its changes awaited."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from mesh_control.sources.kubernetes.reflector import Key
from mesh_control.sources.kubernetes.source import Cluster
from mesh_control.sources.source import Parts
from tests.support.kube_apiserver import ADMIN, PATIENCE, Server

T = TypeVar("T")


class Watched:
    """``changed`` is what the source calls."""

    def __init__(self, source: Cluster) -> None:
        self.source = source
        self._changed = asyncio.Event()

    def changed(self) -> None:
        self._changed.set()

    async def told(self, holds: Callable[[Parts], Any]) -> Parts:
        """As :meth:`until`, of a source that may never be synced."""
        return await self.until(holds, synced=False)

    async def until(self, holds: Callable[[Parts], Any], *, synced: bool = True) -> Parts:
        """What it says as soon as that holds."""
        parts = self.source.read()
        try:
            async with asyncio.timeout(PATIENCE):
                while (synced and not self.source.synced) or not holds(parts):
                    await self._changed.wait()
                    self._changed.clear()
                    parts = self.source.read()
        except TimeoutError:
            raise AssertionError(f"synced: {self.source.synced}; last said: {parts}") from None
        return parts


@asynccontextmanager
async def watching(
    server: Server, *namespaces: str, token: str = ADMIN, mesh: Key | None = None
) -> AsyncIterator[Watched]:
    watched = Watched(Cluster(server.access(token), namespaces, mesh=mesh))
    async with running(watched.source.watch(watched.changed)):
        yield watched


@asynccontextmanager
async def running(*work: Any) -> AsyncIterator[None]:
    """Coroutines beside the test, ended with it; what one of them raises is raised here."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


async def poll(ask: Callable[[], Awaitable[T]], holds: Callable[[T], Any]) -> T:
    """Ask until that holds of the answer."""
    found = await ask()
    try:
        async with asyncio.timeout(PATIENCE):
            while not holds(found):
                await asyncio.sleep(0.05)
                found = await ask()
    except TimeoutError:
        raise AssertionError(f"last answer: {found}") from None
    return found

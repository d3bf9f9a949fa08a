"""Sleeping until a time, or until something has happened."""

import asyncio


async def woken(wake: asyncio.Event, seconds: float | None) -> None:
    """Until ``wake`` is set, or so many seconds have passed (``None``: as long as it takes); it is not set afterwards."""
    try:
        async with asyncio.timeout(seconds if seconds is None else max(0.0, seconds)):
            await wake.wait()
    except TimeoutError:
        pass
    wake.clear()


class Changes:
    """Wakes whoever waits for the next change. Nearly always nobody does, and then telling costs nothing."""

    def __init__(self) -> None:
        self._next: asyncio.Future[None] | None = None

    def tell(self) -> None:
        """Something has changed."""
        if self._next is not None:
            self._next.set_result(None)
            self._next = None

    async def next(self, seconds: float | None = None) -> None:
        """Until the next change, or so many seconds have passed."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        await asyncio.wait([self._next], timeout=seconds)

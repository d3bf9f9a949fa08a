"""Loops that sleep until a time, or until something has happened."""

import asyncio


async def woken(wake: asyncio.Event, seconds: float | None) -> None:
    """Until ``wake`` is set, or so many seconds have passed (``None``: as long as it takes); it is not set afterwards."""
    try:
        async with asyncio.timeout(seconds if seconds is None else max(0.0, seconds)):
            await wake.wait()
    except TimeoutError:
        pass
    wake.clear()

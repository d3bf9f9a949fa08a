"""Applications that answer requests for a while."""

import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.Response]]


@contextlib.asynccontextmanager
async def answering(
    answer: Answer, port: int, context: ssl.SSLContext | None = None, route: tuple[str, str] = ("GET", "/")
) -> AsyncIterator[None]:
    """Answers ``GET /``, or another method and path, on a port of loopback; by TLS where there is a ``context``."""
    application = web.Application()
    application.router.add_route(*route, answer)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
        yield
    finally:
        await runner.cleanup()

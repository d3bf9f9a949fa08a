"""Assembly: which program is made of what, and its life from the first port to the last answer."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Iterable
from contextlib import AsyncExitStack

import aiohttp
from aiohttp import web

from meshwright_demo import __version__, log
from meshwright_demo.book_store import BookStore
from meshwright_demo.db import Database
from meshwright_demo.downstream import Downstream
from meshwright_demo.health import Health
from meshwright_demo.http import MAX_BODY, access_log, errors
from meshwright_demo.order import Order
from meshwright_demo.settings import PROGRAMS, Settings
from meshwright_demo.store import Store
from meshwright_demo.warehouse import Warehouse
from meshwright_demo.warranty import Warranty

logger = logging.getLogger("meshwright_demo")


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then let requests under way finish.

    Raises OSError when the port is taken, and what :meth:`Database.open` raises.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with AsyncExitStack() as stack:
        schema = PROGRAMS[settings.program].schema
        if schema is None:
            app, database = _book_store(settings), None
        else:
            app, database = await _with_database(settings, schema, stack)
        await _listen(app, settings, stack)
        await _until_stopped(stopping, database)
        log.event(logger, "stopping", program=settings.program, at_most_seconds=settings.drain_seconds)
    log.event(logger, "stopped", program=settings.program)


def _book_store(settings: Settings) -> web.Application:
    books = BookStore(settings.version, settings.slow_every, settings.slow_seconds)
    app = web.Application(middlewares=[access_log, errors], client_max_size=MAX_BODY)
    app.on_response_prepare.append(books.name_version)
    app.add_routes([*books.routes(), *Health().routes()])
    return app


async def _with_database(settings: Settings, schema: str, stack: AsyncExitStack) -> tuple[web.Application, Database]:
    database = Database(settings.database_url, schema)
    timeout = aiohttp.ClientTimeout(total=settings.call_seconds, sock_connect=5)
    session = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
    services = {name: Downstream(name, url, session) for name, url in settings.urls.items()}
    stack.push_async_callback(database.close)
    app = web.Application(middlewares=[access_log, errors, database.required], client_max_size=MAX_BODY)
    app.add_routes([*_routes(settings.program, database, services), *Health(database.wrong).routes()])
    return app, database


def _routes(program: str, database: Database, services: dict[str, Downstream]) -> Iterable[web.RouteDef]:
    """The endpoints of a program; its calls are those of its line in ``PROGRAMS``."""
    match program:
        case "store":
            return Store(database, services["order"], services["warehouse"], services["warranty"]).routes()
        case "order":
            return Order(database, services["warehouse"], services["warranty"]).routes()
        case "warehouse":
            return Warehouse(database, services["warranty"]).routes()
        case "warranty":
            return Warranty(database).routes()
    raise ValueError(program)


async def _listen(app: web.Application, settings: Settings, stack: AsyncExitStack) -> None:
    # Cancelling on a lost client is for the book store alone: the others must finish what they have begun elsewhere.
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=settings.drain_seconds,
        handler_cancellation=settings.program == "book-store",
    )
    stack.push_async_callback(runner.cleanup)
    await runner.setup()
    await web.TCPSite(runner, settings.bind, settings.port).start()
    host, port = runner.addresses[0][:2]
    log.event(logger, "listening", program=settings.program, release=__version__, bind=host, port=port)


async def _until_stopped(stopping: asyncio.Event, database: Database | None) -> None:
    """Until the signal, or until the database turns out to be one that waiting does not mend, which is raised."""
    stop = asyncio.create_task(stopping.wait())
    opening = asyncio.create_task(database.open()) if database else stop
    try:
        await asyncio.wait({stop, opening}, return_when=asyncio.FIRST_COMPLETED)
        if opening.done():
            opening.result()
            await stop
    finally:
        for task in (stop, opening):
            task.cancel()
        await asyncio.gather(stop, opening, return_exceptions=True)

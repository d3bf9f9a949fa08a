"""PostgreSQL: waiting for it, its schema, and a pool of connections."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from aiohttp import web
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from meshwright_demo import log, migrations
from meshwright_demo.http import error_response

logger = logging.getLogger("database")
RETRY_SECONDS = 1.0
CONNECT_SECONDS = 5
POOL_SECONDS = 5.0
"""How long a request waits for a connection."""
RECONNECT_SECONDS = 8.0
"""How long the pool tries in the background, with growing pauses; then the next request tries at once."""
MAX_CONNECTIONS = 8


class Database:
    """One schema of one database. Not usable before :meth:`open` has returned; it says so until then."""

    def __init__(self, url: str, schema: str) -> None:
        self._url = url
        self._schema = schema
        self._migrations = migrations.load(schema)
        self._ready = False
        self._options: dict[str, Any] = {
            "options": f"-c search_path={schema}",
            "connect_timeout": CONNECT_SECONDS,
            "application_name": f"meshwright-demo-{schema}",
        }
        self._pool: AsyncConnectionPool[psycopg.AsyncConnection[DictRow]] = AsyncConnectionPool(
            url,
            kwargs={**self._options, "row_factory": dict_row},
            connection_class=psycopg.AsyncConnection[DictRow],
            min_size=1,
            max_size=MAX_CONNECTIONS,
            open=False,
            name=schema,
            timeout=POOL_SECONDS,
            reconnect_timeout=RECONNECT_SECONDS,
            check=AsyncConnectionPool.check_connection,
        )

    async def open(self) -> None:
        """Wait for the server, for ever; bring the schema up to date; open the pool.

        Raises :class:`migrations.MigrationError` and :class:`psycopg.Error` for what waiting does not mend.
        """
        while True:
            try:
                await self._migrate()
                break
            except psycopg.OperationalError as error:
                why = str(error).strip().splitlines()[-1]
                log.event(
                    logger, "not there yet", level=logging.WARNING, schema=self._schema, why=why, again_in=RETRY_SECONDS
                )
                await asyncio.sleep(RETRY_SECONDS)
        await self._pool.open()
        self._ready = True
        log.event(logger, "ready", schema=self._schema)

    async def _migrate(self) -> None:
        async with await psycopg.AsyncConnection.connect(self._url, autocommit=True, **self._options) as connection:
            applied = await migrations.migrate(connection, self._schema, self._migrations)
        for migration in applied:
            log.event(logger, "migrated", schema=self._schema, version=migration.version, name=migration.name)

    async def close(self) -> None:
        """Close the pool's connections."""
        self._ready = False
        await self._pool.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[psycopg.AsyncConnection[DictRow]]:
        """A connection, whose work is committed at the end and rolled back on an error."""
        async with self._pool.connection() as connection:
            yield connection

    async def wrong(self) -> str:
        """Empty when the database answers, else why not. One whose data was lost with its server gets its schema anew."""
        if not self._ready:
            return "waiting for the database"
        try:
            async with self._pool.connection(timeout=2.0) as connection:
                known = await connection.execute("SELECT to_regclass('schema_history')")
                if await known.fetchone() == {"to_regclass": None}:
                    await self._migrate()
        except (psycopg.OperationalError, PoolTimeout, PoolClosed):
            return "the database does not answer"
        return ""

    @web.middleware
    async def required(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Answer 503 in the place of the API until the database is there, as a program that is not up yet."""
        if not self._ready and request.path.startswith("/api/"):
            return error_response(503, "waiting for the database")
        response: web.StreamResponse = await handler(request)
        return response

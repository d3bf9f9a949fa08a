"""The book store: sometimes slow, and broken in one of its builds, so that traffic policies have something to do."""

from __future__ import annotations

import asyncio
from itertools import count

from aiohttp import web

from meshwright_demo.settings import BREAK_PING

BOOKS = (
    {"title": "Refactoring", "author": "Martin Fowler", "year": 1999},
    {"title": "The Mythical Man-Month", "author": "Frederick P. Brooks", "year": 1975},
    {"title": "Structure and Interpretation of Computer Programs", "author": "Harold Abelson", "year": 1985},
)


class BookStore:
    """Every answer names the build, in the header ``x-version`` and in the JSON."""

    def __init__(self, version: str, slow_every: int, slow_seconds: float) -> None:
        self._version = version
        self._slow_every = slow_every
        self._slow_seconds = slow_seconds
        self._numbers = count(1)

    def routes(self) -> list[web.RouteDef]:
        """The endpoints."""
        return [
            web.get("/api/v1", self.first_api),
            web.get("/api/v2", self.second_api),
            web.get("/api/v1/books", self.books),
            web.get("/api/v1/ping", self.ping),
        ]

    async def name_version(self, request: web.Request, response: web.StreamResponse) -> None:
        """Put ``x-version`` on a response; a signal, so that errors carry it too."""
        response.headers["x-version"] = self._version

    async def first_api(self, request: web.Request) -> web.Response:
        """What is served under v1 of the API."""
        return web.json_response({"api": "v1", "version": self._version})

    async def second_api(self, request: web.Request) -> web.Response:
        """What is served under v2 of the API, by each build."""
        return web.json_response({"api": "v2", "version": self._version})

    async def books(self, request: web.Request) -> web.Response:
        """The books; every so many requests it takes its time."""
        if self._slow_every and next(self._numbers) % self._slow_every == 0:
            await asyncio.sleep(self._slow_seconds)
        return web.json_response({"version": self._version, "books": BOOKS})

    async def ping(self, request: web.Request) -> web.Response:
        """``pong``, or 500 from the broken build."""
        if self._version == BREAK_PING:
            return web.json_response({"version": self._version, "message": "ping is broken in this build"}, status=500)
        return web.json_response({"version": self._version, "message": "pong"})

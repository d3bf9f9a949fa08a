"""``/manage/health``: whether the program can do its work now; ``/manage/alive``: whether it runs at all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web


class Health:
    """200 while nothing is wrong, else 503 with the reason."""

    def __init__(self, wrong: Callable[[], Awaitable[str]] | None = None) -> None:
        self._wrong = wrong

    def routes(self) -> list[web.RouteDef]:
        """The endpoints."""
        return [web.get("/manage/health", self.health), web.get("/manage/alive", self.alive)]

    async def health(self, request: web.Request) -> web.Response:
        """Ask, and say it."""
        wrong = await self._wrong() if self._wrong else ""
        if wrong:
            return web.json_response({"status": "DOWN", "message": wrong}, status=503)
        return web.json_response({"status": "UP"})

    async def alive(self, request: web.Request) -> web.Response:
        """Whatever is wrong elsewhere: to start the program anew does not mend a database."""
        return web.json_response({"status": "UP"})

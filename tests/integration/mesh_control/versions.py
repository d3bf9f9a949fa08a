"""A service of two versions as servers of a test's own, and who asks it."""

from typing import Any

from aiohttp import web

from tests.support.ports import free_port

HOST = "book-store.default.svc.cluster.local"
CLIENT = "sidecar~127.0.0.1~client.default~default.svc.cluster.local"


class Versions:
    """Both versions of the service, each a server that counts; a broken one answers 500."""

    def __init__(self) -> None:
        self.ports = {"v1": free_port(), "v2": free_port()}
        self.broken: set[str] = set()
        self._runners: list[web.AppRunner] = []

    async def start(self) -> None:
        for version, port in self.ports.items():
            application = web.Application()
            application.router.add_get("/{path:.*}", self._answer(version))
            runner = web.AppRunner(application, access_log=None)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port).start()
            self._runners.append(runner)

    def _answer(self, version: str) -> Any:
        async def answer(_request: web.Request) -> web.Response:
            return web.Response(text=version, status=500 if version in self.broken else 200)

        return answer

    async def stop(self) -> None:
        for runner in self._runners:
            await runner.cleanup()

    def inventory(self) -> dict[str, Any]:
        ports = [{"name": "http", "port": 8080}]
        workloads = [
            {
                "name": f"book-store-{version}",
                "address": "127.0.0.1",
                "labels": {"app": "book-store", "version": version},
                "ports": {"http": port},
                "sidecar": False,
            }
            for version, port in self.ports.items()
        ]
        client = {"name": "client", "address": "127.0.0.1", "labels": {"app": "client"}}
        service = {"name": "book-store", "ports": ports, "selector": {"app": "book-store"}}
        return {"services": [service], "workloads": [*workloads, client]}

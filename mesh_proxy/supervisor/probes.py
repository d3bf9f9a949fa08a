"""The application's own probes, asked in the kubelet's place (Istio's "probe rewrite").

A kubelet has no certificate of the mesh, so a service that takes mutual TLS alone would refuse it, and a probe of a port
would find the proxy, which always listens. The injector has the kubelet ask the proxy instead, below ``/app-health``, and
tells the proxy what to ask the application (``httpGet``, ``tcpSocket`` or ``grpc`` of the pod's own probe).
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
import grpc
from aiohttp import web

from mesh_api.pod import LOOP_BREAKER
from mesh_proxy.resilience.health_checks import SERVING, grpc_request

log = logging.getLogger(__name__)

_SKIPPED: Final = frozenset({"host", "connection", "accept-encoding", "content-length"})
"""Headers of the kubelet's request that are about its own connection."""


class Probes:
    """Answers by the probes of ``asked`` (path to probe), which are put to the application at ``address``."""

    def __init__(self, asked: Mapping[str, Mapping[str, Any]], address: str) -> None:
        self._asked = asked
        self._address = address

    async def answer(self, request: web.Request) -> web.Response:
        """What the application says: its status, else 500 where it does not answer, 404 for a path that nobody set."""
        probe = self._asked.get(request.path)
        if probe is None:
            raise web.HTTPNotFound(text="the pod has no such probe\n")
        seconds = float(probe.get("timeoutSeconds") or 1)
        try:
            async with asyncio.timeout(seconds):
                status = await self._ask(probe, request)
        except (aiohttp.ClientError, grpc.aio.AioRpcError, OSError, TimeoutError, ValueError) as error:
            log.debug("%s: %s", request.path, error or type(error).__name__)
            return web.Response(status=500, text=f"{error or type(error).__name__}\n")
        return web.Response(status=status)

    async def _ask(self, probe: Mapping[str, Any], request: web.Request) -> int:
        if "httpGet" in probe:
            return await self._http(probe["httpGet"], request)
        if "tcpSocket" in probe:
            return await self._tcp(int(probe["tcpSocket"]["port"]))
        return await self._grpc(int(probe["grpc"]["port"]), str(probe["grpc"].get("service") or ""))

    async def _http(self, asked: Mapping[str, Any], request: web.Request) -> int:
        """As a kubelet does: no certificate is verified, and a redirect is a success."""
        scheme, path = str(asked.get("scheme") or "HTTP").lower(), str(asked.get("path") or "/")
        place = f"{_bracketed(self._address)}:{int(asked['port'])}"
        url = f"{scheme}://{place}{path if path.startswith('/') else '/' + path}"
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _SKIPPED}
        if asked.get("host"):  # by the header alone, as with Istio: it is the pod's own application that is asked
            headers["Host"] = str(asked["host"])
        headers |= {str(item["name"]): str(item["value"]) for item in asked.get("httpHeaders") or ()}
        connector = aiohttp.TCPConnector(local_addr=self._source, ssl=_unverified() if scheme == "https" else False)
        async with (
            aiohttp.ClientSession(connector=connector, trust_env=False, auto_decompress=False) as session,
            session.get(url, headers=headers, allow_redirects=False) as answer,
        ):
            return 200 if 200 <= answer.status < 400 else answer.status

    async def _tcp(self, port: int) -> int:
        _, writer = await asyncio.open_connection(self._address, port, local_addr=self._source)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return 200

    async def _grpc(self, port: int, service: str) -> int:
        """``grpc.health.v1.Health/Check``."""
        # gRPC binds no source of its own; by loopback it meets no redirect.
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            answer = await channel.unary_unary("/grpc.health.v1.Health/Check")(grpc_request(service))
        return 200 if answer == SERVING else 500

    @property
    def _source(self) -> tuple[str, int] | None:
        # From there the redirect lets a connection of ours reach the application.
        return None if ":" in self._address else (LOOP_BREAKER, 0)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context

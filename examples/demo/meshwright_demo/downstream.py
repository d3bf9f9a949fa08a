"""Calls of the other services. No retries here: they are the mesh's to make."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp import web

from meshwright_demo import log
from meshwright_demo.http import DownstreamError, NotAvailableError, NotFoundError, ServiceError
from meshwright_demo.tracing import trace_headers

logger = logging.getLogger("downstream")
Json = Mapping[str, Any]
PASSED_ON: Mapping[int, type[ServiceError]] = {404: NotFoundError, 409: NotAvailableError}
"""Answers of a service that mean to the caller's caller what they mean to the caller."""


class Downstream:
    """One service, by its base URL. The session keeps connections open between calls."""

    def __init__(self, name: str, url: str, session: aiohttp.ClientSession) -> None:
        self._name = name
        self._url = url
        self._session = session

    async def call(self, cause: web.Request, method: str, path: str, body: Json | None = None) -> Any:
        """Call on behalf of the request ``cause``; the answer's JSON, or None when it has no body.

        Raises :class:`NotFoundError` and :class:`NotAvailableError` as the service said it, and :class:`DownstreamError` for
        everything else: no connection, no answer in time, any other status, the mesh's own 503.
        """
        try:
            async with self._session.request(
                method, self._url + path, json=body, headers=trace_headers(cause.headers)
            ) as answer:
                if answer.ok:
                    return await answer.json() if await answer.read() else None
                raise await self._error(answer)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            reason = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
            raise self._failed(method, path, reason) from None

    async def _error(self, answer: aiohttp.ClientResponse) -> ServiceError:
        text = (await answer.text(errors="replace"))[:500]
        message = await _service_message(answer)
        passed = PASSED_ON.get(answer.status)
        # A 404 without our ErrorResponse is the mesh's (no such route), and says nothing about the item.
        if passed is not None and message is not None:
            return passed(message)
        return self._failed(answer.method, answer.url.path, f"{answer.status} {message or text}".strip())

    def _failed(self, method: str, path: str, reason: str) -> DownstreamError:
        log.event(
            logger, "call failed", level=logging.WARNING, service=self._name, method=method, path=path, why=reason
        )
        return DownstreamError(f"{self._name}: {reason}")


async def _service_message(answer: aiohttp.ClientResponse) -> str | None:
    """The message of an ErrorResponse; None for any other body."""
    try:
        body = await answer.json(content_type=None)
    except ValueError:
        return None
    message = body.get("message") if isinstance(body, dict) else None
    return message if isinstance(message, str) else None

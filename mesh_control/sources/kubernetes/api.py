"""The few requests that are made of a Kubernetes API server, over HTTP. No decisions."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any

import aiohttp

from mesh_control.sources.kubernetes.access import Access, AccessError
from mesh_policy import json_text

PAGE = 500
"""Objects of a page, as in client-go."""
WATCH_SECONDS = 300
"""After which a server is asked to end a watch; it is taken up again where it ended."""
SILENCE = WATCH_SECONDS + 30
"""Seconds after which a watch that has not even ended counts as broken."""
REQUEST_SECONDS = 60
LONGEST_LINE = 16 * 1024 * 1024
"""Bytes of an event; etcd takes objects of 1.5 MiB by default."""
APPLY, MERGE = "application/apply-patch+yaml", "application/merge-patch+json"


class ApiError(Exception):
    """The server refused, or cannot be reached (status 0)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Api:
    """A connection to a server; an asynchronous context manager."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "Api":
        connector = aiohttp.TCPConnector(ssl=self.access.tls if self.access.tls is not None else True, limit=0)
        self._session = aiohttp.ClientSession(connector=connector, read_bufsize=LONGEST_LINE)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        content: str = "application/json",
    ) -> Any:
        """One request and its answer as JSON. Raises :class:`ApiError`."""
        data = None if body is None else json.dumps(body)
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
        async with self._asked(method, path, query, data, {"Content-Type": content}, timeout) as answer:
            text = await answer.text()
            return json_text.parse_cut(text) if answer.content_type == "application/json" and text.strip() else text

    async def watch(self, path: str, query: Mapping[str, str]) -> AsyncGenerator[Mapping[str, Any], None]:
        """The events of a watch; the first one is ``{}``, when the server has taken it up. Raises :class:`ApiError`."""
        query = {**query, "watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_SECONDS)}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=REQUEST_SECONDS, sock_read=SILENCE)
        async with self._asked("GET", path, query, None, {}, timeout) as answer:
            yield {}
            async for line in answer.content:
                if line.strip():
                    yield json_text.parse_cut(line.decode())

    @asynccontextmanager
    async def _asked(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        data: str | None,
        headers: Mapping[str, str],
        timeout: aiohttp.ClientTimeout,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._session is None:
            raise RuntimeError("used outside of its context")
        try:
            headers = {**headers, **self.access.headers()}
            async with self._session.request(
                method,
                self.access.url + path,
                params=query,
                data=data,
                headers=headers,
                timeout=timeout,
                proxy=self.access.proxy or None,
            ) as answer:
                if answer.status >= 400:
                    raise ApiError(answer.status, await _said(answer))
                yield answer
        except aiohttp.ClientPayloadError:
            raise ApiError(0, f"{self.access.url}: the connection broke") from None
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, AccessError) as error:
            raise ApiError(0, f"{self.access.url}: {error or type(error).__name__}") from None


async def _said(answer: aiohttp.ClientResponse) -> str:
    text = await answer.text(errors="replace")
    try:
        return str(json_text.parse(text)["message"])
    except (ValueError, KeyError, TypeError):
        return f"{answer.status} {answer.reason}"

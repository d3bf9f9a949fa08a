"""Requests to an API server. No decisions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import aiohttp

from kubernetes_provider_double.errors import ApiError
from kubernetes_provider_double.kubeconfig import Login

APPLY = "application/apply-patch+yaml"
REQUEST_SECONDS = 60.0
HELLO_SECONDS = 10.0
"""In which a server must say its version, or counts as unreachable."""


class Api:
    """A server; requests share connections."""

    def __init__(self, login: Login) -> None:
        self.login = login
        self._session: aiohttp.ClientSession | None = None

    async def hello(self) -> None:
        """Raises :class:`ApiError` where nobody answers, or refuses the login."""
        await self.request("GET", "/version", seconds=HELLO_SECONDS)

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        content: str = "application/json",
        seconds: float = REQUEST_SECONDS,
    ) -> Any:
        """One request and its answer. Raises :class:`ApiError`."""
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=self.login.tls or True, limit=16)
            self._session = aiohttp.ClientSession(connector=connector)
        try:
            async with self._session.request(
                method,
                self.login.server + path,
                params=query,
                data=None if body is None else json.dumps(body),
                headers={**self.login.headers, "Content-Type": content, "Accept": "application/json"},
                proxy=self.login.proxy,
                timeout=aiohttp.ClientTimeout(total=seconds),
            ) as answer:
                text = await answer.text(errors="replace")
                if answer.status >= 400:
                    raise ApiError(answer.status, said(text) or f"{answer.status} {answer.reason}")
                return json.loads(text)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise ApiError(0, f"{self.login.server}: {error or type(error).__name__}") from None

    async def close(self) -> None:
        """End its connections."""
        if self._session is not None:
            await self._session.close()


def said(text: str) -> str:
    """The message of a ``Status``; any other text's beginning."""
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text[:500].strip()

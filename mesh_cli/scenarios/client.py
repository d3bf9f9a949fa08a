"""A small HTTP client that looks at the mesh from outside, through the ingress gateway."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import aiohttp  # slow to import: `mesh observe --help` needs none of it


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer: status (0 when none came), seconds it took, lower-case headers, body."""

    status: int
    seconds: float
    headers: Mapping[str, str]
    body: str


class Client:
    """Asks ``gateway`` (``http://ADDRESS:PORT``) for ``host``. ``direct`` is a workload behind it, in the same form; empty:
    none is known. ``statistics`` are the pages of sidecars, by workload. ``proxy`` is the HTTP proxy that leads to all of
    them (``http://HOST:PORT``); empty: none."""

    def __init__(
        self,
        gateway: str,
        host: str,
        direct: str = "",
        statistics: Mapping[str, str] | None = None,
        seconds: float = 60.0,
        proxy: str = "",
    ) -> None:
        self.direct = direct.rstrip("/")
        self.statistics: Mapping[str, str] = statistics or {}
        self._gateway = gateway.rstrip("/")
        self._host = host
        self._seconds = seconds
        self._proxy = proxy or None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=self._seconds)
        self._session = aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._session is not None  # noqa: S101 (entered before)
        await self._session.close()

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> Reply:
        """One GET; see :meth:`ask`."""
        return await self.ask("GET", path, headers)

    async def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        *,
        host: str = "",
        body: Mapping[str, Any] | None = None,
    ) -> Reply:
        """One request, for another ``host`` if one is given, with ``body`` as JSON. Redirects are not followed. A failed
        connection is a reply with status 0 and the reason as body."""
        return await self._asked(method, self._gateway + path, {"Host": host or self._host, **(headers or {})}, body)

    async def past_gateway(self, path: str, headers: Mapping[str, str]) -> Reply:
        """One GET in plain text, as :meth:`ask`, of the workload behind the gateway."""
        return await self._asked("GET", self.direct + path, {"Host": self._host, **headers}, None)

    async def _asked(self, method: str, url: str, headers: Mapping[str, str], body: Mapping[str, Any] | None) -> Reply:
        import aiohttp

        assert self._session is not None  # noqa: S101 (used inside `async with`)
        began = time.monotonic()
        try:
            async with self._session.request(
                method, url, headers=headers, json=body, allow_redirects=False, proxy=self._proxy
            ) as answer:
                text = await answer.text(errors="replace")
                found = {name.lower(): value for name, value in answer.headers.items()}
                return Reply(answer.status, time.monotonic() - began, found, text)
        except (aiohttp.ClientError, TimeoutError) as error:
            return Reply(0, time.monotonic() - began, {}, f"{type(error).__name__}: {error}")

    async def counted(self) -> list[str]:
        """The pages of all sidecars, as text. Raises :class:`aiohttp.ClientError`."""
        assert self._session is not None  # noqa: S101 (used inside `async with`)
        pages = []
        for url in self.statistics.values():
            async with self._session.get(url, proxy=self._proxy) as answer:
                answer.raise_for_status()
                pages.append(await answer.text())
        return pages

    async def paced(self, path: str, rate: float, count: int) -> Sequence[Reply]:
        """``count`` requests, ``rate`` a second, each started on time whether or not those before have ended."""
        began = asyncio.get_running_loop().time()

        async def one(place: int) -> Reply:
            await asyncio.sleep(max(0.0, began + place / rate - asyncio.get_running_loop().time()))
            return await self.get(path)

        return await asyncio.gather(*(one(place) for place in range(count)))


def statuses(replies: Sequence[Reply]) -> dict[int, int]:
    """How often each status came, by status."""
    found: dict[int, int] = {}
    for reply in sorted(replies, key=lambda reply: reply.status):
        found[reply.status] = found.get(reply.status, 0) + 1
    return found

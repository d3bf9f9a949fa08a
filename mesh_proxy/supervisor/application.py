"""The application's own metrics, which are scraped together with the proxy's (Istio's "metrics merging").

Whether and where it has some, the annotations of its pod say: ``prometheus.io/scrape``, ``port`` and ``path``, in the node's
metadata, or as JSON in the variable ``ISTIO_PROMETHEUS_ANNOTATIONS``, as Istio's agent is told.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

log = logging.getLogger(__name__)

VARIABLE: Final = "ISTIO_PROMETHEUS_ANNOTATIONS"
TIMEOUT: Final = 5.0
"""Seconds that the application may take."""
LIMIT: Final = 64 << 20
"""Bytes of its answer at most."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """Where the application's metrics are, on this machine."""

    port: int
    path: str = "/metrics"

    @property
    def url(self) -> str:
        """For a client."""
        return f"http://127.0.0.1:{self.port}{self.path}"


def scrape_of(metadata: Mapping[str, Any], environment: Mapping[str, str], own_ports: frozenset[int]) -> Scrape | None:
    """What the annotations ask for; ``None``: nothing. Never ``own_ports``: the proxy would ask itself."""
    annotations = metadata.get("ANNOTATIONS")
    named = {
        name: str(value)
        for name, value in (annotations.items() if isinstance(annotations, Mapping) else ())
        if name.startswith("prometheus.io/")
    }
    found = {name.partition("/")[2]: value for name, value in named.items()}
    try:
        told = json.loads(environment.get(VARIABLE) or "{}")
    except ValueError:
        told = {}
    if isinstance(told, Mapping):
        found |= {str(name): str(value) for name, value in told.items() if value}
    port = found.get("port", "80")
    if found.get("scrape") != "true" or not port.isdigit() or not 0 < int(port) < 65536 or int(port) in own_ports:
        return None
    path = found.get("path") or "/metrics"
    return Scrape(int(port), path if path.startswith("/") else f"/{path}")


class Application:
    """Asks the application. Its failures are counted, and told once."""

    def __init__(self, scrape: Scrape | None) -> None:
        self.scrape = scrape
        self.failures = 0
        self._told = ""

    async def metrics(self) -> str:
        """Its metrics as text; empty where there are none."""
        if self.scrape is None:
            return ""
        try:
            text = await self._ask(self.scrape)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            self.failures += 1
            reason = str(error) or type(error).__name__
            if reason != self._told:
                self._told = reason
                log.warning("the application's metrics at %s: %s", self.scrape.url, reason)
            return ""
        self._told = ""
        return text if not text or text.endswith("\n") else f"{text}\n"

    @staticmethod
    async def _ask(scrape: Scrape) -> str:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT)
        headers = {"accept": "text/plain;version=0.0.4"}
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
            session.get(scrape.url, headers=headers) as answer,
        ):
            answer.raise_for_status()
            found = await answer.content.read(LIMIT + 1)
            while len(found) <= LIMIT and (more := await answer.content.read(LIMIT + 1 - len(found))):
                found += more
            if len(found) > LIMIT:
                raise ValueError(f"more than {LIMIT} bytes")
            return found.decode(errors="replace")

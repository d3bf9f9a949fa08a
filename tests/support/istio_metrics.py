"""Istio's standard metrics as a whole mesh reports them: an exporter whose requests a test decides upon."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from tests.support.worker_process import LIMIT

BOUNDS = (0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000)
"""Of the buckets of Istio's durations, in milliseconds."""
INFINITY = float("inf")


@dataclass(slots=True)
class Flow:
    """Requests to ``host`` of one kind, ``each`` more at every scrape, which took ``milliseconds``; there were others
    ``before`` the first one."""

    host: str
    each: int
    code: int = 200
    version: str = "v2"
    revision: str | None = None
    """The canonical one; unset: the version."""
    reporter: str = "source"
    client: str = "v1"
    """The client's own version."""
    milliseconds: float = 20.0
    before: int = 5000
    total: int = field(init=False)

    def __post_init__(self) -> None:
        self.total = self.before

    def buckets(self) -> dict[float, int]:
        """How many were as quick as each bound says."""
        return {bound: self.total if self.milliseconds <= bound else 0 for bound in (*BOUNDS, INFINITY)}

    def labels(self) -> Mapping[str, str]:
        """All that Istio writes."""
        name, _, rest = self.host.partition(".")
        namespace = rest.partition(".")[0]
        return {
            "reporter": self.reporter,
            "source_workload": "web",
            "source_workload_namespace": "default",
            "source_principal": "spiffe://cluster.local/ns/default/sa/web",
            "source_app": "web",
            "source_version": self.client,
            "source_cluster": "Kubernetes",
            "source_canonical_service": "web",
            "source_canonical_revision": self.client,
            "destination_workload": f"{name}-{self.version}",
            "destination_workload_namespace": namespace,
            "destination_principal": f"spiffe://cluster.local/ns/{namespace}/sa/{name}",
            "destination_app": name,
            "destination_version": self.version,
            "destination_service": self.host,
            "destination_service_name": name,
            "destination_service_namespace": namespace,
            "destination_cluster": "Kubernetes",
            "destination_canonical_service": name,
            "destination_canonical_revision": self.version if self.revision is None else self.revision,
            "request_protocol": "http",
            "response_code": str(self.code),
            "grpc_response_status": "",
            "response_flags": "-",
            "connection_security_policy": "mutual_tls" if self.reporter == "destination" else "unknown",
        }


@dataclass(slots=True)
class Mesh:
    """What the exporter tells. ``broken``: it answers scrapes with an error."""

    flows: list[Flow] = field(default_factory=list)
    broken: bool = False
    port: int = 0
    _scraped: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def scraped(self) -> None:
        """Returns at the next scrape."""
        async with asyncio.timeout(LIMIT), self._scraped:
            await self._scraped.wait()

    async def metrics(self, _request: web.Request) -> web.Response:
        """The answer to a scrape."""
        async with self._scraped:
            self._scraped.notify_all()
        if self.broken:
            return web.Response(status=503)
        for flow in self.flows:
            flow.total += flow.each
        return web.Response(text=exposition(self.flows))


def exposition(flows: list[Flow]) -> str:
    """Prometheus' text."""
    requests = ["# TYPE istio_requests_total counter"]
    durations = ["# TYPE istio_request_duration_milliseconds histogram"]
    for flow in flows:
        labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in flow.labels().items())
        requests.append(f"istio_requests_total{{{labels}}} {flow.total}")
        name = "istio_request_duration_milliseconds"
        for bound, count in flow.buckets().items():
            le = "+Inf" if bound == INFINITY else f"{bound:g}"
            durations.append(f'{name}_bucket{{{labels},le="{le}"}} {count}')
        durations.append(f"{name}_sum{{{labels}}} {flow.total * flow.milliseconds}")
        durations.append(f"{name}_count{{{labels}}} {flow.total}")
    return "\n".join([*requests, *durations, ""])


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


@contextlib.asynccontextmanager
async def exporter(mesh: Mesh) -> AsyncIterator[None]:
    """Serves a mesh's metrics at its ``port``."""
    application = web.Application()
    application.router.add_get("/metrics", mesh.metrics)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        mesh.port = runner.addresses[0][1]
        yield
    finally:
        await runner.cleanup()

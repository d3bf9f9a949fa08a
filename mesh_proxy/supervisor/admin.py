"""The admin interface, in Envoy's shapes; and the health and statistics ports. What changes something is POST only."""

import ipaddress
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from aiohttp import web

from mesh_api.config import ProxyConfig, Secret
from mesh_api.pod import PROBES
from mesh_api.xds.grpc import node_to_proto
from mesh_api.xds.json import message_to_json
from mesh_proxy.bootstrap import Bootstrap
from mesh_proxy.ipc import Stats
from mesh_proxy.supervisor import dumps, exposition
from mesh_proxy.supervisor.admin_queries import (
    LEVELS,
    filter_of,
    format_of,
    json_page,
    levels_of,
    of_type,
    prometheus_page,
    query_of,
    text_page,
)
from mesh_proxy.supervisor.application import Application
from mesh_proxy.supervisor.certs import certs_json
from mesh_proxy.supervisor.cluster_status import clusters_json, clusters_text
from mesh_proxy.supervisor.masks import MaskError
from mesh_proxy.supervisor.probes import Probes

Handler = Callable[[web.Request], Awaitable[web.Response]]


class Proxy(Protocol):
    """What the admin interface shows and moves."""

    @property
    def bootstrap(self) -> Bootstrap:
        """What it was started with."""

    @property
    def version(self) -> str:
        """Of the software."""

    @property
    def log_level(self) -> str:
        """Of the supervisor and the workers."""

    @property
    def state(self) -> str:
        """``LIVE``, ``DRAINING``, ``PRE_INITIALIZING`` or ``INITIALIZING``, as Envoy has them."""

    @property
    def uptime(self) -> float:
        """Seconds."""

    @property
    def config(self) -> ProxyConfig:
        """What is in force."""

    @property
    def versions(self) -> dict[str, str]:
        """Version of each type in force."""

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What the workers have."""

    @property
    def memory(self) -> int:
        """Bytes that the supervisor and the workers have in memory."""

    async def stats(self) -> Stats:
        """The numbers of all workers and of the supervisor."""

    def drain_listeners(self) -> None:
        """Begins to take nothing new."""

    def reset_counters(self) -> None:
        """Has every counter begin anew."""

    def fail_health(self, failed: bool) -> None:
        """Has the proxy say that it is not ready, or be as it is again."""

    def reopen_logs(self) -> None:
        """After a rotation."""

    def set_log_level(self, level: str) -> None:
        """Of the supervisor and of every worker."""

    def quit(self) -> None:
        """Begins an orderly end."""


def health_app(proxy: Proxy) -> web.Application:
    """``/healthz/ready`` for probes."""
    app = web.Application()
    app.router.add_get("/healthz/ready", Admin(proxy).ready)
    return app


def stats_app(proxy: Proxy) -> web.Application:
    """``/stats/prometheus`` for scrapers."""
    app = web.Application()
    app.router.add_get("/stats/prometheus", Admin(proxy).stats_prometheus)
    return app


def merged_app(proxy: Proxy, application: Application, probes: Probes) -> web.Application:
    """What Istio's agent has on port 15020: the application's metrics with ours, its health, and whether we are ready."""
    admin = Admin(proxy)

    async def merged(request: web.Request) -> web.Response:
        ours = await admin.stats_prometheus(request)
        return prometheus_page((ours.text or "") + await application.metrics() + _failures(application))

    app = web.Application()
    app.router.add_get("/stats/prometheus", merged)
    app.router.add_get("/metrics", merged)
    app.router.add_get("/healthz/ready", admin.ready)
    app.router.add_post("/quitquitquit", local(admin.quit))
    app.router.add_post("/drain", local(admin.drain_listeners))
    app.router.add_get(PROBES + "/{rest:.+}", probes.answer)
    return app


def local(handler: Handler) -> Handler:
    """For whoever is on this machine, and nobody else."""

    async def handle(request: web.Request) -> web.Response:
        if request.remote not in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
            raise web.HTTPForbidden(text="Only requests from localhost are allowed\n")
        return await handler(request)

    return handle


def _failures(application: Application) -> str:
    """Under the name of Istio's agent."""
    name = "istio_agent_scrape_failures_total"
    return f'# TYPE {name} counter\n{name}{{type="application"}} {application.failures}\n'


def admin_app(proxy: Proxy) -> web.Application:
    """Everything, for the operator on the machine, and for no page that the operator's browser has open."""
    admin = Admin(proxy)
    app = web.Application(middlewares=[_of_no_page, _in_envoys_words])
    for method, path, name, _ in ENDPOINTS:
        for each in ("POST",) if method == "POST" else ("GET", "POST"):
            app.router.add_route(each, path, getattr(admin, name))
    return app


@web.middleware
async def _of_no_page(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """A page of another origin can make a browser ask, and a name that leads here makes it of the same origin."""
    if request.method == "POST" and "Origin" in request.headers:
        return text_page("a page of a browser may not do this\n", 403)
    if not _is_here(request.host):
        return text_page(f"this is asked for by an address, or as localhost, and not as {request.host!r}\n", 403)
    return await handler(request)


def _is_here(authority: str) -> bool:
    """Whether an authority names no host but this one, whatever names lead to it."""
    host = authority.rpartition(":")[0] if authority.rpartition(":")[2].isdigit() else authority
    if host == "localhost" or not host:
        return True
    try:
        ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


@web.middleware
async def _in_envoys_words(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed:
        return text_page(f"Method {request.method} not allowed, POST required.", 405)
    except web.HTTPNotFound as error:
        if request.match_info.http_exception is None:
            return text_page(error.text or "", 404)
        return text_page("invalid path. " + _commands(), 404)


ENDPOINTS: Final = (
    ("GET", "/", "help", "this list"),
    ("GET", "/certs", "certs", "print certs on machine"),
    ("GET", "/clusters", "clusters", "upstream cluster status (?format=json, ?filter=regex)"),
    (
        "GET", "/config_dump", "config_dump",
        "dump current configs (?resource=, ?mask=, ?name_regex=, ?include_eds)",
    ),
    ("POST", "/drain_listeners", "drain_listeners", "drain listeners (?graceful, ?skip_exit)"),
    ("POST", "/healthcheck/fail", "health_fail", "cause the proxy to fail health checks"),
    ("POST", "/healthcheck/ok", "health_ok", "cause the proxy to pass health checks"),
    ("GET", "/help", "help", "print out list of admin commands"),
    ("GET", "/hot_restart_version", "hot_restart", "print the hot restart compatibility version"),
    ("GET", "/init_dump", "init_dump", "what is still waited for"),
    ("GET", "/listeners", "listeners", "print listener info (?format=json)"),
    ("POST", "/logging", "logging", "query/change logging levels (?level=, ?paths=name:level, ?name=level)"),
    ("GET", "/memory", "memory", "print current memory"),
    ("POST", "/quitquitquit", "quit", "exit the server"),
    ("GET", "/ready", "ready", "print server state, return 200 if LIVE, otherwise return 503"),
    ("POST", "/reopen_logs", "reopen_logs", "reopen access logs"),
    ("POST", "/reset_counters", "reset_counters", "reset all counters to zero"),
    ("GET", "/runtime", "runtime", "print runtime values (none)"),
    ("GET", "/server_info", "server_info", "print server version/status information"),
    (
        "GET", "/stats", "stats",
        "print server stats (?usedonly, ?filter=regex, ?format=text|json|prometheus, ?type=All|Counters|Gauges|Histograms)",
    ),
    ("GET", "/stats/prometheus", "stats_prometheus", "print server stats in prometheus format"),
)  # fmt: skip
LOGGERS: Final = {"mesh_proxy"}


def _commands() -> str:
    lines = [f"  {path}{' (POST)' if method == 'POST' else ''}: {text}\n" for method, path, _, text in ENDPOINTS]
    return "admin commands are:\n" + "".join(lines)


class Admin:
    """The handlers."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    async def help(self, _: web.Request) -> web.Response:
        """``/help``."""
        return text_page(_commands())

    async def ready(self, _: web.Request) -> web.Response:
        """``/ready``, ``/healthz/ready``."""
        state = self._proxy.state
        return text_page(state + "\n", 200 if state == "LIVE" else 503)

    async def certs(self, _: web.Request) -> web.Response:
        """``/certs``."""
        return json_page(certs_json(self._proxy.config, self._proxy.secrets, time.time()))

    async def memory(self, _: web.Request) -> web.Response:
        """``/memory``: of all processes; what of it is free, nobody counts."""
        size = str(self._proxy.memory)
        nothing = dict.fromkeys(("pageheap_unmapped", "pageheap_free", "total_thread_cache"), "0")
        return json_page({"allocated": size, "heap_size": size, **nothing, "total_physical_bytes": size})

    async def runtime(self, _: web.Request) -> web.Response:
        """``/runtime``: there are no layers."""
        return json_page({"entries": {}, "layers": []})

    async def hot_restart(self, _: web.Request) -> web.Response:
        """``/hot_restart_version``."""
        return text_page("disabled")

    async def init_dump(self, _: web.Request) -> web.Response:
        """``/init_dump``."""
        return json_page({})

    async def server_info(self, _: web.Request) -> web.Response:
        """``/server_info``."""
        proxy = self._proxy
        settings = proxy.bootstrap.settings
        uptime = f"{int(proxy.uptime)}s"
        return json_page(
            {
                "version": proxy.version,
                "state": proxy.state,
                "uptime_current_epoch": uptime,
                "uptime_all_epochs": uptime,
                "hot_restart_version": "disabled",
                "command_line_options": {
                    "concurrency": settings.concurrency,
                    "log_level": proxy.log_level,
                    "drain_time": f"{settings.drain_seconds:g}s",
                },
                "node": message_to_json(node_to_proto(proxy.bootstrap.node)),
            }
        )

    async def config_dump(self, request: web.Request) -> web.Response:
        """``/config_dump``."""
        query = query_of(request, {"resource", "mask", "name_regex", "include_eds"})
        keep = filter_of(query.get("name_regex", ""))
        proxy = self._proxy
        dumped = dumps.Dumped(proxy.bootstrap, proxy.config, proxy.versions, proxy.secrets)
        mask = query.get("mask", "")
        try:
            if "resource" in query:
                return json_page(dumps.config_dump_of(dumped, query["resource"], keep, mask))
            with_endpoints = "include_eds" in query
            return json_page(dumps.config_dump(dumped, include_endpoints=with_endpoints, keep=keep, mask=mask))
        except dumps.UnknownResourceError as error:
            return text_page(f"{error}\n", 404)
        except MaskError as error:
            return text_page(f"{error}\n", 400)

    async def clusters(self, request: web.Request) -> web.Response:
        """``/clusters``."""
        query = query_of(request, {"format", "filter"})
        as_json, keep = format_of(query, {"text", "json"}) == "json", filter_of(query.get("filter", ""))
        static = frozenset(cluster.name for cluster in self._proxy.bootstrap.static.clusters)
        shown = tuple(cluster for cluster in self._proxy.config.clusters if keep(cluster.name))
        stats = await self._proxy.stats()
        if as_json:
            return json_page(clusters_json(shown, static, stats))
        return text_page(clusters_text(shown, static, stats))

    async def listeners(self, request: web.Request) -> web.Response:
        """``/listeners``."""
        shown, bound = self._proxy.config.listeners, (await self._proxy.stats()).listeners
        if format_of(query_of(request, {"format"}), {"text", "json"}) == "json":
            return json_page(dumps.listeners_json(shown, bound))
        return text_page(dumps.listeners_text(shown, bound))

    async def stats(self, request: web.Request) -> web.Response:
        """``/stats``."""
        query = query_of(
            request, {"filter", "format", "usedonly", "hidden", "histogram_buckets", "text_readouts", "type"}
        )
        form = format_of(query, {"text", "json", "prometheus"})
        keep = filter_of(query.get("filter", ""))
        stats = of_type(await self._stats(query), query.get("type", "All"))
        if form == "json":
            return json_page(exposition.as_json(stats, keep))
        if form == "prometheus":
            return prometheus_page(exposition.prometheus(stats, keep))
        return text_page(exposition.plain(stats, keep))

    async def stats_prometheus(self, request: web.Request) -> web.Response:
        """``/stats/prometheus``."""
        query = query_of(request, {"filter", "usedonly", "histogram_buckets", "text_readouts", "type"})
        keep = filter_of(query.get("filter", ""))
        return prometheus_page(exposition.prometheus(of_type(await self._stats(query), query.get("type", "All")), keep))

    async def _stats(self, query: dict[str, str]) -> Stats:
        stats = await self._proxy.stats()
        return exposition.used(stats) if "usedonly" in query else stats

    async def drain_listeners(self, request: web.Request) -> web.Response:
        """``/drain_listeners``: always gracefully; the process stays."""
        query_of(request, {"graceful", "skip_exit"})
        self._proxy.drain_listeners()
        return text_page("OK\n")

    async def logging(self, request: web.Request) -> web.Response:
        """``/logging``: there is one logger, for everything."""
        query = query_of(request, {"level", "paths", *LOGGERS, *request.query})
        try:
            level = levels_of(query, LOGGERS)
        except ValueError as error:
            usage = (
                "usage: /logging?<name>=<level> (change single level)\n"
                "usage: /logging?paths=name1:level1,name2:level2,... (change multiple levels)\n"
                "usage: /logging?level=<level> (change all levels)\n"
                f"levels: {' '.join(LEVELS)} \n"
            )
            return text_page(f"error: {error}\n\n{usage}{self._levels()}", 400)
        if level:
            self._proxy.set_log_level(level)
        return text_page(self._levels())

    def _levels(self) -> str:
        return "active loggers:\n" + "".join(f"  {name}: {self._proxy.log_level}\n" for name in sorted(LOGGERS))

    async def health_fail(self, _: web.Request) -> web.Response:
        """``/healthcheck/fail``."""
        self._proxy.fail_health(True)
        return text_page("OK\n")

    async def health_ok(self, _: web.Request) -> web.Response:
        """``/healthcheck/ok``."""
        self._proxy.fail_health(False)
        return text_page("OK\n")

    async def reset_counters(self, _: web.Request) -> web.Response:
        """``/reset_counters``."""
        self._proxy.reset_counters()
        return text_page("OK\n")

    async def reopen_logs(self, _: web.Request) -> web.Response:
        """``/reopen_logs``."""
        self._proxy.reopen_logs()
        return text_page("OK\n")

    async def quit(self, _: web.Request) -> web.Response:
        """``/quitquitquit``."""
        self._proxy.quit()
        return text_page("OK\n")

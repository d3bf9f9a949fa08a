"""The admin interface, in Envoy's shapes; and the health and statistics ports. What changes something is POST only."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl

import re2
from aiohttp import web

from mesh_api.config import ProxyConfig
from mesh_api.xds.grpc import node_to_proto
from mesh_api.xds.json import message_to_json
from mesh_proxy.bootstrap import LOG_LEVELS, Bootstrap
from mesh_proxy.ipc import Stats
from mesh_proxy.supervisor import dumps, exposition
from mesh_proxy.supervisor.cluster_status import clusters_json, clusters_text

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

    async def stats(self) -> Stats:
        """The numbers of all workers and of the supervisor."""

    def drain_listeners(self) -> None:
        """Begins to take nothing new."""

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


def admin_app(proxy: Proxy) -> web.Application:
    """Everything, for the operator on the machine."""
    admin = Admin(proxy)
    app = web.Application()
    for method, path, name, _ in ENDPOINTS:
        app.router.add_route(method, path, getattr(admin, name))
    app.router.add_get("/", admin.help)
    return app


ENDPOINTS: Final = (
    ("GET", "/certs", "certs", "certificates on this machine (none)"),
    ("GET", "/clusters", "clusters", "upstream clusters and their hosts (?format=json)"),
    ("GET", "/config_dump", "config_dump", "configuration in force (?resource=, ?name_regex=, ?include_eds)"),
    ("POST", "/drain_listeners", "drain_listeners", "take no new connections"),
    ("GET", "/help", "help", "this list"),
    ("GET", "/listeners", "listeners", "bound listeners (?format=json)"),
    ("POST", "/logging", "logging", "log level (?level=debug|info|warning|error)"),
    ("POST", "/quitquitquit", "quit", "drain, then end"),
    ("GET", "/ready", "ready", "LIVE when configured, else 503"),
    ("GET", "/server_info", "server_info", "version, state and node"),
    ("GET", "/stats", "stats", "statistics (?filter=regex, ?format=text|json|prometheus)"),
    ("GET", "/stats/prometheus", "stats_prometheus", "statistics for Prometheus"),
)


class Admin:
    """The handlers."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    async def help(self, _: web.Request) -> web.Response:
        """``/help``."""
        lines = [f"  {path}{' (POST)' if method == 'POST' else ''}: {text}\n" for method, path, _, text in ENDPOINTS]
        return web.Response(text="admin commands are:\n" + "".join(lines))

    async def ready(self, _: web.Request) -> web.Response:
        """``/ready``, ``/healthz/ready``."""
        state = self._proxy.state
        return web.Response(text=state + "\n", status=200 if state == "LIVE" else 503)

    async def certs(self, _: web.Request) -> web.Response:
        """``/certs``."""
        return _json({"certificates": []})

    async def server_info(self, _: web.Request) -> web.Response:
        """``/server_info``."""
        proxy = self._proxy
        settings = proxy.bootstrap.settings
        uptime = f"{int(proxy.uptime)}s"
        return _json(
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
        query = _query(request, {"resource", "name_regex", "include_eds"})
        keep = _filter(query.get("name_regex", ""))
        proxy = self._proxy
        dumped = dumps.Dumped(proxy.bootstrap, proxy.config, proxy.versions)
        if "resource" not in query:
            return _json(dumps.config_dump(dumped, include_endpoints="include_eds" in query, keep=keep))
        try:
            return _json(dumps.config_dump_of(dumped, query["resource"], keep))
        except dumps.UnknownResourceError as error:
            raise web.HTTPNotFound(text=f"{error}\n") from None

    async def clusters(self, request: web.Request) -> web.Response:
        """``/clusters``."""
        as_json = _format(_query(request, {"format"}), {"text", "json"}) == "json"
        static = frozenset(cluster.name for cluster in self._proxy.bootstrap.static.clusters)
        shown, stats = self._proxy.config.clusters, await self._proxy.stats()
        if as_json:
            return _json(clusters_json(shown, static, stats))
        return web.Response(text=clusters_text(shown, static, stats))

    async def listeners(self, request: web.Request) -> web.Response:
        """``/listeners``."""
        shown = self._proxy.config.listeners
        if _format(_query(request, {"format"}), {"text", "json"}) == "json":
            return _json(dumps.listeners_json(shown))
        return web.Response(text=dumps.listeners_text(shown))

    async def stats(self, request: web.Request) -> web.Response:
        """``/stats``."""
        query = _query(request, {"filter", "format", "usedonly"})
        form = _format(query, {"text", "json", "prometheus"})
        keep = _filter(query.get("filter", ""))
        stats = await self._proxy.stats()
        if form == "json":
            return _json(exposition.as_json(stats, keep))
        if form == "prometheus":
            return _prometheus(exposition.prometheus(stats, keep))
        return web.Response(text=exposition.plain(stats, keep))

    async def stats_prometheus(self, request: web.Request) -> web.Response:
        """``/stats/prometheus``."""
        query = _query(request, {"filter", "usedonly"})
        keep = _filter(query.get("filter", ""))
        return _prometheus(exposition.prometheus(await self._proxy.stats(), keep))

    async def drain_listeners(self, request: web.Request) -> web.Response:
        """``/drain_listeners``: always gracefully; the process stays."""
        _query(request, {"graceful", "skip_exit"})
        self._proxy.drain_listeners()
        return web.Response(text="OK\n")

    async def logging(self, request: web.Request) -> web.Response:
        """``/logging``."""
        level = _query(request, {"level"}).get("level", "")
        if level and level not in LOG_LEVELS:
            raise web.HTTPBadRequest(text=f"level {level!r} is none of {', '.join(LOG_LEVELS)}\n")
        if level:
            self._proxy.set_log_level(level)
        return web.Response(text=f"active loggers:\n  mesh_proxy: {self._proxy.log_level}\n")

    async def quit(self, _: web.Request) -> web.Response:
        """``/quitquitquit``."""
        self._proxy.quit()
        return web.Response(text="OK\n")


def _query(request: web.Request, known: set[str]) -> dict[str, str]:
    """The query; a parameter that would silently change nothing is an error."""
    query = dict(parse_qsl(request.query_string, keep_blank_values=True))
    unknown = sorted(query.keys() - known)
    if unknown:
        raise web.HTTPBadRequest(text=f"parameter {unknown[0]} is none of {', '.join(sorted(known))}\n")
    return query


def _format(query: dict[str, str], known: set[str]) -> str:
    form = query.get("format", "text")
    if form not in known:
        raise web.HTTPBadRequest(text=f"format {form!r} is none of {', '.join(sorted(known))}\n")
    return form


def _filter(pattern: str) -> Callable[[str], bool]:
    if not pattern:
        return exposition.everything
    try:
        regex = re2.compile(pattern)
    except re2.error as error:
        raise web.HTTPBadRequest(text=f"invalid regex {pattern!r}: {error}\n") from None
    return lambda name: regex.search(name) is not None


def _json(value: Any) -> web.Response:
    return web.Response(text=json.dumps(value, indent=1) + "\n", content_type="application/json")


def _prometheus(text: str) -> web.Response:
    return web.Response(text=text, headers={"content-type": exposition.CONTENT_TYPE})

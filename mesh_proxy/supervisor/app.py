"""The sidecar's process: what belongs together is put together here, signals arrive here, and the exit code is made here."""

import asyncio
import importlib.metadata
import logging
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from aiohttp import web

from mesh_api.config import ProxyConfig, Secret
from mesh_api.notify import notify
from mesh_proxy.bootstrap import Bootstrap
from mesh_proxy.ipc import Introduce, Reopen, SetLogLevel, Stats
from mesh_proxy.overload import share
from mesh_proxy.supervisor.admin import admin_app, health_app, merged_app, stats_app
from mesh_proxy.supervisor.application import Application, scrape_of
from mesh_proxy.supervisor.delivery import Delivery
from mesh_proxy.supervisor.export import Exporter
from mesh_proxy.supervisor.footprint import used_by, version_number
from mesh_proxy.supervisor.logs import Log
from mesh_proxy.supervisor.probes import Probes
from mesh_proxy.supervisor.stats import merge
from mesh_proxy.supervisor.status import Standing, Status
from mesh_proxy.supervisor.worker_process import COMMAND
from mesh_proxy.supervisor.workers import Workers

log = logging.getLogger(__name__)

EX_UNAVAILABLE: Final = 69
"""A port of the supervisor cannot be opened."""
EX_SOFTWARE: Final = 70
"""We failed."""
EX_CONFIG: Final = 78
"""The workers refuse the static configuration, and nobody is there to send another."""

_STATES: Final = {"LIVE": 0, "DRAINING": 1, "PRE_INITIALIZING": 2, "INITIALIZING": 3}


def run(bootstrap: Bootstrap, command: Sequence[str] = COMMAND) -> int:
    """Runs the proxy until it is told to stop; returns the exit code (``sysexits.h``). ``command`` starts a worker."""
    try:
        output = Log(bootstrap.settings.log_level, bootstrap.settings.log_path)
    except OSError as error:
        sys.stderr.write(f"mesh-proxy: log_path: {error}\n")
        return EX_UNAVAILABLE
    try:
        return asyncio.run(_run(bootstrap, output, command))
    except Exception:
        log.exception("the supervisor failed")
        return EX_SOFTWARE
    finally:
        output.close()


async def _run(bootstrap: Bootstrap, output: Log, command: Sequence[str]) -> int:
    supervisor = Supervisor(bootstrap, output, command)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.quit)
    for number in (signal.SIGHUP, signal.SIGUSR1):
        loop.add_signal_handler(number, supervisor.reopen_logs)
    return await supervisor.run()


class Supervisor:
    """One sidecar. Fulfils :class:`mesh_proxy.supervisor.admin.Proxy`; must be made inside a running loop."""

    def __init__(self, bootstrap: Bootstrap, output: Log, command: Sequence[str] = COMMAND) -> None:
        self.version = f"meshwright {_version()}"
        metadata = {**_own_metadata(bootstrap), **bootstrap.node.metadata}
        self.bootstrap = replace(bootstrap, node=replace(bootstrap.node, user_agent=self.version, metadata=metadata))
        self._output = output
        self._workers = Workers(bootstrap.settings.concurrency, self._on_change, command)
        self._delivery = Delivery(self.bootstrap, self._workers, self._on_change)
        self._exporter = Exporter(self.bootstrap.node, lambda: self.config, lambda: self.secrets)
        self._workers.on_told = self._exporter.take
        node = self.bootstrap.node
        self._workers.introduction = Introduce(
            node.id,
            dict(node.metadata),
            share(bootstrap.connection_limits, bootstrap.settings.concurrency),
            (node.region, node.zone, node.sub_zone),
            bootstrap.local_cluster,
        )
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._draining: asyncio.Task[None] | None = None
        self._told: Status | None = None
        self._unhealthy = False
        self._told_state = "PRE_INITIALIZING"

    async def run(self) -> int:
        """Serves until told to stop; returns the exit code."""
        try:
            runners = await self._open_ports()
        except OSError as error:
            log.error("%s", error)
            return EX_UNAVAILABLE
        self._workers.start(self._output.level)
        self._delivery.restore()
        delivery = asyncio.create_task(self._delivery.run(), name="delivery")
        delivery.add_done_callback(lambda _: self._stop.set())
        self._on_change()
        try:
            await self._stop.wait()
            await self._end(delivery)
        finally:
            delivery.cancel()
            await self._workers.stop()
            await self._exporter.close()
            await asyncio.gather(delivery, return_exceptions=True)
            self._delivery.save_the_rest()
            for runner in runners:
                await runner.cleanup()
        return self._exit_code(delivery)

    @property
    def state(self) -> str:
        """``PRE_INITIALIZING`` before the control plane was heard of, ``INITIALIZING`` before a configuration is in force."""
        if self._draining is not None or self._unhealthy:
            return "DRAINING"
        if self._delivery.ready:
            return "LIVE"
        unheard = self._delivery.status.standing is Standing.UNREACHABLE
        return "PRE_INITIALIZING" if unheard else "INITIALIZING"

    @property
    def uptime(self) -> float:
        """Seconds since the start."""
        return self._loop.time() - self._began

    @property
    def log_level(self) -> str:
        """Of the supervisor and the workers."""
        return self._output.level

    @property
    def config(self) -> ProxyConfig:
        """What is in force."""
        return self._delivery.in_force.config

    @property
    def versions(self) -> dict[str, str]:
        """Version of each type in force."""
        return dict(self._delivery.in_force.versions)

    async def stats(self) -> Stats:
        """The numbers of all workers and of the supervisor."""
        own = Stats(
            {"server.worker_restarts": self._workers.restarts},
            {
                "server.state": _STATES[self.state],
                "server.live": int(self.state == "LIVE"),
                "server.uptime": int(self.uptime),
                "server.concurrency": self._workers.count,
                "server.workers_up": len(self._workers.up),
                "server.version": version_number(self.version.rpartition(" ")[2]),
                "listener_manager.workers_started": int(self._workers.running > 0),
                **used_by(self._processes),
            },
        )
        merged = merge([await self._workers.stats(), self._delivery.stats(), self._exporter.stats(), own])
        warming = (value for name, value in merged.gauges.items() if name.endswith(".warming_state"))
        merged.gauges["cluster_manager.warming_clusters"] = sum(warming)
        return merged

    def set_log_level(self, level: str) -> None:
        """Of the supervisor and of every worker."""
        self._output.set_level(level)
        self._workers.broadcast(SetLogLevel(level))

    def reopen_logs(self) -> None:
        """After a rotation."""
        self._output.reopen()
        self._workers.broadcast(Reopen())

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What the workers have."""
        return self._delivery.secrets

    @property
    def memory(self) -> int:
        """Bytes that the supervisor and the workers have in memory."""
        return used_by(self._processes)["server.memory_physical_size"]

    @property
    def _processes(self) -> tuple[int, ...]:
        return (os.getpid(), *(worker.pid for worker in self._workers.up))

    def reset_counters(self) -> None:
        """Has every counter begin anew."""
        self._workers.reset_counters()

    def fail_health(self, failed: bool) -> None:
        """Has the proxy say that it is not ready, or be as it is again."""
        self._unhealthy = failed
        self._on_change()

    def drain_listeners(self) -> None:
        """Has the workers take nothing new, and finish what is under way within ``drain_seconds``."""
        if self._draining is None:
            seconds = self.bootstrap.settings.drain_seconds
            log.info("draining for at most %g s", seconds)
            self._draining = asyncio.create_task(self._workers.drain(seconds), name="drain")
            self._on_change()

    def quit(self) -> None:
        """Drains, then ends; called again, ends at once."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    async def _end(self, delivery: "asyncio.Task[None]") -> None:
        """The orderly part of the end."""
        if delivery.done() or self._delivery.failure:
            return
        notify("STOPPING=1")
        self.drain_listeners()
        hurry = asyncio.create_task(self._hurry.wait())
        await asyncio.wait({hurry, *filter(None, [self._draining])}, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if self._draining is not None:
            self._draining.cancel()
            await asyncio.gather(self._draining, hurry, return_exceptions=True)

    def _exit_code(self, delivery: "asyncio.Task[None]") -> int:
        if self._delivery.failure:
            return EX_CONFIG
        error = None if delivery.cancelled() else delivery.exception()
        if error is None:
            log.info("ended")
            return 0
        log.error("the supervisor failed", exc_info=error)
        return EX_SOFTWARE

    async def _open_ports(self) -> list[web.AppRunner]:
        """Opens admin, health and statistics. Raises :class:`OSError`, which names the port."""
        settings, admin = self.bootstrap.settings, self.bootstrap.admin
        wanted = [
            ("admin", None if admin is None else admin.address, None if admin is None else admin.port, admin_app),
            ("ready_port", settings.monitoring_address, settings.ready_port, health_app),
            ("stats_port", settings.monitoring_address, settings.stats_port, stats_app),
            ("merged_port", settings.monitoring_address, settings.merged_port, self._merged),
        ]
        runners: list[web.AppRunner] = []
        for name, address, port, make in wanted:
            if port is None:
                continue
            runner = web.AppRunner(make(self), access_log=None, handle_signals=False, shutdown_timeout=1.0)
            runners.append(runner)
            await runner.setup()
            try:
                await web.TCPSite(runner, address, port).start()
            except OSError as error:
                for each in runners:
                    await each.cleanup()
                raise OSError(f"{name}: {address}:{port} cannot be opened: {error.strerror}") from None
        return runners

    def _merged(self, proxy: "Supervisor") -> web.Application:
        settings = self.bootstrap.settings
        own = frozenset(filter(None, (settings.merged_port, settings.stats_port, settings.ready_port)))
        application = Application(scrape_of(self.bootstrap.node.metadata, os.environ, own))
        # A node that has probes is a pod's, and has an address.
        address = self.bootstrap.node.parsed_id().address if settings.probes else ""
        return merged_app(proxy, application, Probes(settings.probes, address))

    def _on_change(self) -> None:
        """Tells the log and the service manager what is new."""
        state, status = self.state, self._delivery.status
        if self._delivery.failure:
            self._stop.set()
        if status != self._told:
            log.log(_level(status, self._told), "control plane: %s", status)
        if (state, status) != (self._told_state, self._told):
            notify(f"STATUS={state}; control plane: {status}".replace("\n", " "))
        if state == "LIVE" and self._told_state in ("PRE_INITIALIZING", "INITIALIZING"):
            log.info("ready: %d workers run configuration %d", self._workers.running, self._delivery.in_force.number)
            notify("READY=1")
        self._told, self._told_state = status, state


def _own_metadata(bootstrap: Bootstrap) -> dict[str, Any]:
    """What the control plane is told besides the bootstrap's metadata: where it finds our statistics, and whether we can
    show who we are."""
    settings = bootstrap.settings
    found: dict[str, Any] = {}
    if settings.stats_port is not None:
        found["STATS_ADDRESS"] = f"{settings.monitoring_address}:{settings.stats_port}"
    if settings.identity is not None:
        found["HAS_IDENTITY"] = True
    return found


def _level(status: Status, before: Status | None) -> int:
    """How loud a new status is; what is waited for changes with every response, so only the first one counts."""
    if status.standing in (Standing.INVALID, Standing.UNREACHABLE):
        return logging.WARNING
    still_waiting = before is not None and before.standing is status.standing is Standing.WAITING
    return logging.DEBUG if still_waiting else logging.INFO


def _version() -> str:
    try:
        return importlib.metadata.version("meshwright")
    except importlib.metadata.PackageNotFoundError:
        # A checkout that is not installed.
        return "0"

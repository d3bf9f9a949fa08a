"""The worker: takes configurations from the supervisor, runs them, says how it does."""

import gc
import logging
import random
import socket
from collections.abc import Callable
from typing import Final

from mesh_proxy import ipc
from mesh_proxy.protocol.http1 import field_of
from mesh_proxy.resilience.connection_limits import ConnectionLimit
from mesh_proxy.snapshot import Builder, SnapshotError
from mesh_proxy.telemetry.workload import METADATA, METADATA_ID, header_of, of_metadata
from mesh_proxy.worker.context import Context
from mesh_proxy.worker.health_checks import HealthChecks, append_line
from mesh_proxy.worker.listeners import Listeners, Place
from mesh_proxy.worker.loop import READ, WRITE, Loop, Waiter
from mesh_proxy.worker.neighbourhood import Neighbourhood
from mesh_proxy.worker.resolver import Resolver
from mesh_proxy.worker.stats import collect, reset

log = logging.getLogger("mesh_proxy.worker")
_BEHIND: Final = 1 << 20
"""Bytes that the supervisor has not read yet, beyond which telemetry waits."""


class Worker(Waiter):
    """One worker on one connection to its supervisor; it ends with that connection."""

    def __init__(self, channel: socket.socket, pid: int, chance: Callable[[], float] = random.random) -> None:
        super().__init__()
        self.loop = Loop()
        self.context = Context(self.loop, chance)
        self.listeners = Listeners(self.context)
        self._resolver = Resolver(self.loop, lambda: self.context.snapshot.clusters, chance)
        self._checks = HealthChecks(
            self.loop, lambda: self.context.snapshot.clusters.values(), chance, self.context.wall, append_line
        )
        self._neighbourhood = Neighbourhood()
        self._channel = channel
        self._decoder = ipc.Decoder()
        self._out = bytearray()
        self._drain_until = 0.0
        channel.setblocking(False)
        self.loop.add(channel.fileno(), READ, self)
        self.loop.every_second(self.context.logs.flush)
        self.loop.every_second(self._sweep)
        self.loop.every_second(self._resolver.check)
        self.loop.every_second(self._checks.check)
        self.loop.every_second(self._check_drained)
        self.loop.every_second(self._tell)
        self.context.logs.outbox.wake = self._wake
        self._say(ipc.Ready(pid))

    def run(self) -> None:
        """Until the supervisor is gone."""
        self.loop.run()
        self._tell(self.loop.now)
        self.context.logs.flush()
        self._resolver.close()
        self.context.names.close()
        self._checks.close()
        self.listeners.close_all()

    def on_event(self, event: int) -> None:
        """The supervisor says something, or takes what is said to it."""
        if event & WRITE:
            self._write()
        if not event & ~WRITE:
            return
        try:
            data = self._channel.recv(1 << 20)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.loop.stop()
            return
        for message in self._decoder.feed(data):
            self._take(message)

    def _take(self, message: ipc.Message) -> None:
        if isinstance(message, ipc.Apply):
            self._apply(message)
        elif isinstance(message, ipc.StatsRequest):
            self._say(ipc.StatsReply(message.id, collect(self.context, self.listeners)))
        elif isinstance(message, ipc.ResetCounters):
            reset(self.context, self.listeners)
        elif isinstance(message, ipc.Introduce):
            self._introduce(message)
        elif isinstance(message, ipc.Drain):
            self._drain(message.seconds)
        elif isinstance(message, ipc.SetLogLevel):
            logging.getLogger().setLevel(message.level.upper())
        elif isinstance(message, ipc.Reopen):
            self.context.logs.reopen()

    def _introduce(self, message: ipc.Introduce) -> None:
        self._neighbourhood = Neighbourhood(message.locality, message.local_cluster)
        self.context.limits = {name: ConnectionLimit(most) for name, most in message.limits}
        self.context.snapshot.registry.own = of_metadata(message.metadata)
        self.context.introduction = [
            field_of(METADATA, header_of(message.metadata)), field_of(METADATA_ID, message.node_id.encode())
        ]  # fmt: skip

    def _apply(self, message: ipc.Apply) -> None:
        """Bind, build, swap; when one of these fails, what was there before goes on."""
        resting = [host for cluster in self.context.snapshot.clusters.values() for host in cluster.hosts.values()]
        made: dict[Place, socket.socket] = {}
        try:
            made = self.listeners.prepare(message.config.listeners)
            # Last, because it changes the clusters that live on.
            snapshot = Builder(self.context.snapshot, self.context.random, message.secrets).build(message.config)
        except SnapshotError as error:
            for sock in made.values():
                sock.close()
            log.warning("configuration %d is refused: %s", message.version, error)
            self._say(ipc.Rejected(message.version, error.resource, error.reason))
            return
        self.context.snapshot = snapshot
        gc.unfreeze()  # what was frozen before may be garbage now: connections that have ended, the configuration before
        gc.collect()
        gc.freeze()  # a configuration of thousands of objects is not looked through again while requests wait
        self.listeners.commit(snapshot, made)
        self.context.names.configure(snapshot.clusters.values(), snapshot.counters)
        self._resolver.check(self.loop.now)
        self._checks.check(self.loop.now)
        self._neighbourhood.check(snapshot.clusters)
        for upstream in [upstream for host in resting for upstream in host.resting() if upstream.orphaned]:
            upstream.close()
        self._say(ipc.Applied(message.version))

    def _sweep(self, now: float) -> None:
        for cluster in self.context.snapshot.clusters.values():
            cluster.sweep(now)
        self.context.names.check(now, self.context.snapshot.clusters.values())
        self._neighbourhood.check(self.context.snapshot.clusters)
        if self.context.snapshot.registry.sweep(now):
            for reporter in self.context.snapshot.reporters:
                reporter.forget()

    def _drain(self, seconds: float) -> None:
        self.context.draining = True
        self.listeners.close_all()
        self._drain_until = self.loop.now + seconds
        for connection in list(self.context.connections):
            connection.drain()  # type: ignore[attr-defined]
        self._check_drained(self.loop.now)

    def _check_drained(self, now: float) -> None:
        if not self._drain_until:
            return
        if self.context.connections and now < self._drain_until:
            return
        self._drain_until = 0.0
        self.context.logs.flush()
        self._tell(now)
        self._say(ipc.Drained())

    def _wake(self) -> None:
        """There is a batch for services of telemetry: it is handed over when the handler that runs now has returned."""
        self.loop.flush_after(self)

    def flush(self) -> None:
        """See :class:`~mesh_proxy.worker.loop.Waiter`."""
        self._tell(self.loop.now)

    def _tell(self, _now: float) -> None:
        """Hand over what there is for services of telemetry, unless the supervisor has enough to read."""
        if len(self._out) < _BEHIND:
            for destination, entries in self.context.logs.outbox.take():
                self._say(ipc.Told(destination, entries))

    def _say(self, message: ipc.Message) -> None:
        self._out += ipc.encode(message)
        self._write()

    def _write(self) -> None:
        try:
            sent = self._channel.send(self._out)
            del self._out[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self.loop.stop()
            return
        self.loop.modify(self._channel.fileno(), READ | (WRITE if self._out else 0))

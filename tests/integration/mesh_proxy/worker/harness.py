"""A worker of flesh and blood and the servers behind it, for tests that speak to both by hand."""

import contextlib
import socket
import time
from collections.abc import Callable
from typing import Any

from mesh_api.config import Cluster, ProxyConfig, Route
from mesh_api.config.secrets import Secret
from mesh_proxy import ipc
from tests.support.proxy_config import cluster, http_config, route
from tests.support.raw_http import Backend, Client, ManualServer, Request, ScriptedServer, Wire
from tests.support.worker_process import LIMIT, WorkerProcess


class Proxy:
    """A worker with one listener that clients connect to."""

    def __init__(self, worker: WorkerProcess, stack: contextlib.ExitStack) -> None:
        self.worker = worker
        self._stack = stack
        self.port = 0

    def run(self, config: ProxyConfig, *secrets: Secret) -> None:
        """Give the worker a configuration, which it must take; clients go to its first listener."""
        taken = self.worker.apply(config, secrets)
        assert isinstance(taken, ipc.Applied), taken
        self.port = self.worker.port(config.listeners[0].name)

    def routes(self, *routes: Route, clusters: tuple[Cluster, ...] = (), **manager: Any) -> None:
        """Run an HTTP listener with these routes for every host."""
        self.run(http_config(routes, clusters, **manager))

    def to(self, *ports: int, **manager: Any) -> None:
        """Send everything to these ports."""
        self.routes(route(), clusters=(cluster("backend", *ports),), **manager)

    def client(self, receive_buffer: int | None = None) -> Client:
        """A new connection to the proxy, closed at the end of the test at the latest."""
        return self._stack.enter_context(Client(self.port, receive_buffer))

    def asked(self, server: ManualServer) -> tuple[Client, Wire]:
        """A request that the server, to which everything is sent, has read and not answered: the client, and its peer."""
        self.to(server.port)
        client = self.client()
        client.ask()
        peer = server.accept()
        assert peer.head()
        return client, peer

    def counter(self, name: str) -> int:
        """A counter or a gauge; 0 when nothing was counted."""
        stats = self.worker.stats()
        return stats.counters.get(name, stats.gauges.get(name, 0))

    def until(self, holds: Callable[[ipc.Stats], bool]) -> ipc.Stats:
        """Waits until the worker's numbers are as wanted; each look is a turn of its loop."""
        deadline = time.monotonic() + LIMIT
        while not holds(stats := self.worker.stats()):
            assert time.monotonic() < deadline, f"never came true: {stats}"
        return stats


class Servers:
    """Starts servers that are gone at the end of the test."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack

    def script(self, serve: Callable[[Wire, int], None], receive_buffer: int | None = None) -> ScriptedServer:
        """A server whose connections run ``serve``."""
        server = ScriptedServer(serve, receive_buffer)
        self._stack.callback(server.close)
        return server

    def manual(self, receive_buffer: int | None = None) -> ManualServer:
        """A server whose part the test plays."""
        server = ManualServer(receive_buffer)
        self._stack.callback(server.close)
        return server

    def http(self, answering: Callable[[Request], bytes | None] | None = None) -> tuple[Backend, int]:
        """A server of HTTP, and its port."""
        backend = Backend() if answering is None else Backend(answering)
        return backend, self.script(backend.serve).port

    def deaf(self) -> int:
        """A port where connections are neither taken nor refused: as many wait there as the kernel lets wait."""
        sock = self._stack.enter_context(socket.socket())
        sock.bind(("127.0.0.1", 0))
        sock.listen(0)
        for _ in range(3):
            waiting = self._stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(sock.getsockname())
        return int(sock.getsockname()[1])

    def nobody(self) -> int:
        """A port where connections are refused, and stay refused: it is taken, and nobody listens."""
        sock = self._stack.enter_context(socket.socket())
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])

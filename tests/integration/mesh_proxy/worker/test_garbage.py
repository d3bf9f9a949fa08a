"""A request leaves nothing behind that only the garbage collector finds: collections would be a quarter of the CPU time."""

import contextlib
import gc
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from mesh_api.config import ProxyConfig, RouteAction
from mesh_api.config.routes import DirectResponse
from mesh_proxy import ipc
from mesh_proxy.worker.process import Worker
from tests.integration.mesh_proxy.worker.harness import Servers
from tests.support.proxy_config import ISTIO_RETRY, cluster, http_config, route
from tests.support.raw_http import Client, answer
from tests.support.worker_process import LIMIT

pytestmark = pytest.mark.integration


class Here:
    """A worker that turns in this thread, so that its garbage is this process's."""

    def __init__(self, config: ProxyConfig) -> None:
        self._channel, theirs = socket.socketpair()
        self.worker = Worker(theirs, 0)
        self._channel.sendall(ipc.encode(ipc.Apply(1, config)))
        while not self.worker.listeners.addresses():
            self.worker.loop.turn(LIMIT)
        self.port = int(self.worker.listeners.addresses()["http"].rpartition(":")[2])

    def turn_while(self, work: Callable[[], None]) -> None:
        """Run ``work`` in a thread of its own, and the worker until it is done."""
        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(work)
            while not done.done():
                self.worker.loop.turn(0.01)
            done.result()

    def turn_until_alone(self) -> None:
        """Until it has seen every client's end."""
        while self.worker.context.connections:
            self.worker.loop.turn(LIMIT)

    def close(self) -> None:
        self.worker.listeners.close_all()
        self._channel.close()


@contextlib.contextmanager
def only_by_hand() -> Iterator[None]:
    """Garbage is collected when it is asked for, and kept to be looked at."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def left_behind() -> Counter[str]:
    gc.collect()
    return Counter(type(item).__name__ for item in gc.garbage if type(item).__module__.startswith("mesh_proxy"))


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 200), ("POST", "/", 200), ("GET", "/broken", 503), ("GET", "/none", 404)],
)
def test_requests_leave_no_garbage(method: str, path: str, status: int, servers: Servers) -> None:
    _, port = servers.http(lambda request: answer(status="503 No" if request.target == "/broken" else "200 OK"))
    sent = route(to=RouteAction("backend", retry=ISTIO_RETRY))
    own = route("/none", to=DirectResponse(404))
    proxy = Here(http_config((own, sent), (cluster("backend", port),)))
    with contextlib.closing(proxy), Client(proxy.port) as client:

        def ask(times: int) -> None:
            for _ in range(times):
                assert client.get(path, method, b"x" * 2000 if method == "POST" else None).status == status

        proxy.turn_while(lambda: ask(3))  # what is made once is made
        with only_by_hand():
            proxy.turn_while(lambda: ask(20))
            assert left_behind() == Counter()


def test_connections_leave_no_garbage(servers: Servers) -> None:
    _, port = servers.http(lambda _: answer(extra="connection: close\r\n"))
    proxy = Here(http_config((route(),), (cluster("backend", port),)))

    def ask(times: int) -> None:
        for _ in range(times):
            with Client(proxy.port) as client:
                assert client.get().status == 200

    with contextlib.closing(proxy):
        proxy.turn_while(lambda: ask(3))
        with only_by_hand():
            proxy.turn_while(lambda: ask(20))
            proxy.turn_until_alone()
            assert left_behind() == Counter()

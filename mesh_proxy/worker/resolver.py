"""DNS beside the loop: names are looked up in a thread, so that a slow server never stops the traffic."""

import os
import queue
import socket
import threading
from collections.abc import Callable

from mesh_api.config import ClusterType, Endpoint, SocketAddress
from mesh_proxy.cluster import ClusterRuntime
from mesh_proxy.worker.loop import READ, Loop

Found = tuple[str, list[str]]


class Resolver:
    """Keeps the hosts of clusters that name them. A lookup that fails leaves the hosts as they were (Envoy)."""

    def __init__(self, loop: Loop, clusters: Callable[[], dict[str, ClusterRuntime]]) -> None:
        self._loop = loop
        self._clusters = clusters
        self._wanted: queue.SimpleQueue[tuple[str, tuple[tuple[str, int], ...], str] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[str, list[SocketAddress]]] = queue.SimpleQueue()
        self._due: dict[str, float] = {}
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        loop.add(self._wake_read, READ, self._on_answer)
        self._thread = threading.Thread(target=self._work, name="resolver", daemon=True)
        self._thread.start()

    def check(self, now: float) -> None:
        """Ask again for what is due."""
        for name, cluster in self._clusters().items():
            if cluster.names and now >= self._due.get(name, 0.0):
                self._due[name] = now + cluster.config.dns_refresh_rate
                self._wanted.put((name, cluster.names, cluster.config.dns_lookup_family))

    def _work(self) -> None:
        while (wanted := self._wanted.get()) is not None:
            cluster, names, family = wanted
            self._answers.put((cluster, [address for name, port in names for address in lookup(name, port, family)]))
            os.write(self._wake_write, b"x")

    def _on_answer(self, _event: int) -> None:
        os.read(self._wake_read, 4096)
        while not self._answers.empty():
            name, addresses = self._answers.get()
            cluster = self._clusters().get(name)
            if cluster is not None and addresses:
                logical = cluster.config.type is ClusterType.LOGICAL_DNS
                cluster.set_hosts((Endpoint(address), 0) for address in (addresses[:1] if logical else addresses))

    def close(self) -> None:
        """End the thread."""
        self._wanted.put(None)
        self._loop.remove(self._wake_read)
        os.close(self._wake_read)


def lookup(name: str, port: int, family: str) -> list[SocketAddress]:
    """The addresses of a name; ``family`` is Envoy's ``dns_lookup_family``."""
    wanted = {"V4_ONLY": socket.AF_INET, "V6_ONLY": socket.AF_INET6}.get(family, socket.AF_UNSPEC)
    try:
        found = socket.getaddrinfo(name, port, wanted, socket.SOCK_STREAM)
    except OSError:
        return []
    addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
    # All but ALL take one family where there is a choice (Envoy): IPv6 by AUTO, IPv4 by V4_PREFERRED.
    preferred = [address for address in addresses if (":" in address) is (family == "AUTO")]
    return [SocketAddress(address, port) for address in (addresses if family == "ALL" else preferred or addresses)]

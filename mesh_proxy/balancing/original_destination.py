"""Hosts that are wherever the connection, or a header of the request, was going (Envoy ``OriginalDstCluster``)."""

import ipaddress
from collections.abc import Callable
from typing import Final

from mesh_api.config import Cluster
from mesh_proxy.balancing.host import Host
from mesh_proxy.protocol.numbers import whole
from mesh_proxy.telemetry.stats import Counters

HEADER: Final = b"x-envoy-original-dst-host"
_MOST: Final = 4096


class OriginalDestinations:
    """Makes hosts as they are asked for, and forgets those that nobody used for an interval. ``hosts`` is the cluster's."""

    __slots__ = ("_counters", "_header", "_hosts", "_interval", "_port", "_swept_at", "_used", "_uses_header")

    def __init__(self, hosts: dict[str, Host], counters: Counters) -> None:
        self._hosts = hosts
        self._counters = counters
        self._uses_header: bool = False
        self._header: bytes = HEADER
        self._port: int = -1
        self._interval: float = 5.0
        self._swept_at: float = 0.0
        self._used: set[str] = set()

    def configure(self, config: Cluster) -> None:
        """Take a configuration."""
        self._uses_header = config.use_http_header
        self._header = config.original_dst_header.lower().encode() or HEADER
        self._port = -1 if config.original_dst_port is None else config.original_dst_port
        self._interval = config.cleanup_interval

    def destination_of(
        self, header: Callable[[bytes], bytes | None], connection: tuple[str, int] | None
    ) -> tuple[str, int] | None:
        """The address for a request: what its header says, where it is looked at and there; else the connection's."""
        if self._uses_header:
            value = header(self._header)
            if value is not None:
                found = _parsed(value)
                if found is None:
                    self._counters.add("original_dst_host_invalid")
                return found
        return connection

    def pick(self, destination: tuple[str, int]) -> Host:
        """The host at an address."""
        if self._port >= 0:
            destination = (destination[0], self._port)
        address, port = destination
        name = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        host = self._hosts.get(name)
        if host is None:
            if len(self._hosts) >= _MOST:
                self._forget({key for key, known in self._hosts.items() if _busy(known)})
            host = self._hosts[name] = Host(name, destination)
            self._counters.add("membership_change")
        self._used.add(name)
        return host

    def sweep(self, now: float) -> None:
        """To be called about once a second."""
        if now - self._swept_at >= self._interval:
            self._swept_at = now
            self._forget({key for key, known in self._hosts.items() if _busy(known)} | self._used)
            self._used.clear()

    def _forget(self, kept: set[str]) -> None:
        """Leave only these."""
        for name in [name for name in self._hosts if name not in kept]:
            del self._hosts[name]


def _busy(host: Host) -> bool:
    return host.active_connections > 0 or host.active_requests > 0


def _parsed(value: bytes) -> tuple[str, int] | None:
    """``ADDRESS:PORT`` as address and port."""
    written, colon, digits = value.strip().rpartition(b":")
    port = whole(digits, 65535)
    if not colon or port < 0:
        return None
    address = written.decode("latin-1").removeprefix("[").removesuffix("]")
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return None
    return address, port

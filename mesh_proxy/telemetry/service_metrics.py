"""Istio's standard metrics: requests, their times and sizes, connections and bytes, with who asked whom as labels.

https://istio.io/latest/docs/reference/config/metrics/

Hot path. What a request has in common with others (who, whom, status) is looked up as one key, and the labels of a series are
composed when its first request comes. The number of series is bounded: what comes when there are too many is counted in one
series whose labels all say so; those that were not used for long are given up.
"""

from typing import Final

from mesh_api.config.service_metrics import ServiceMetrics
from mesh_proxy.balancing.host import Host
from mesh_proxy.ipc import Histogram, Labels
from mesh_proxy.protocol.http1 import is_grpc
from mesh_proxy.telemetry.facts import ClusterFacts, ConnectionFacts
from mesh_proxy.telemetry.metric_labels import CustomLabels
from mesh_proxy.telemetry.operators import grpc_status
from mesh_proxy.telemetry.record import Record
from mesh_proxy.telemetry.stats import Timing
from mesh_proxy.telemetry.workload import NOBODY, UNKNOWN, Workload, of_endpoint, of_header

BUDGET: Final = 2000
"""Series of one worker at most."""
IDLE: Final = 3600.0
"""Seconds after which a series that nothing was added to is given up."""
OVERFLOW: Final = "overflow"
_PEERS: Final = 4096
_WITHOUT_SERVICE: Final = frozenset({b"PassthroughCluster", b"BlackHoleCluster", b"InboundPassthroughCluster"})

Value = int | Histogram


class Series:
    """The numbers of one set of labels: of requests, or of connections. ``values`` are those that ``custom`` asks for."""

    __slots__ = (
        "closed", "count", "custom", "labels", "opened", "received", "request_sizes", "response_sizes", "sent", "times",
        "used", "values",
    )  # fmt: skip

    def __init__(self, labels: Labels, custom: CustomLabels | None = None, values: tuple[str, ...] = ()) -> None:
        self.labels = labels
        self.custom = custom
        self.values = values
        self.used: float = 0.0
        self.count: int = 0
        self.times = Timing()
        self.request_sizes = Timing()
        self.response_sizes = Timing()
        self.opened: int = 0
        self.closed: int = 0
        self.sent: int = 0
        self.received: int = 0

    def add(self, record: Record) -> None:
        """A request that is over."""
        self.used = record.ended
        self.count += 1
        self.times.add((record.ended - record.began) * 1000.0)
        self.request_sizes.add(record.bytes_received + record.head_received)
        self.response_sizes.add(record.bytes_sent + record.head_sent)

    def read(self) -> list[tuple[str, Value]]:
        """Every number, by its metric."""
        made: list[tuple[str, Value]] = []
        if self.count:
            made += [
                ("istio_requests_total", self.count),
                ("istio_request_duration_milliseconds", self.times.read()),
                ("istio_request_bytes", self.request_sizes.read()),
                ("istio_response_bytes", self.response_sizes.read()),
            ]
        if self.opened or self.closed:
            made += [
                ("istio_tcp_connections_opened_total", self.opened),
                ("istio_tcp_connections_closed_total", self.closed),
                ("istio_tcp_sent_bytes_total", self.sent),
                ("istio_tcp_received_bytes_total", self.received),
            ]
        return made


Key = tuple[object, ...]
Name = tuple[Labels, ServiceMetrics | None, tuple[str, ...]]
"""Of a series: equal configurations give equal names, so that a new configuration goes on counting where it can."""


class Registry:
    """All series of a worker, whatever configuration they come from."""

    __slots__ = ("_overflow", "budget", "own", "series")

    def __init__(self, own: Workload = NOBODY, budget: int = BUDGET) -> None:
        self.own = own
        self.budget = budget
        self.series: dict[Name, Series] = {}
        self._overflow: dict[Labels, Series] = {}

    def get(self, labels: Labels, custom: CustomLabels | None = None, values: tuple[str, ...] = ()) -> Series:
        """The series with these labels, and what ``custom`` makes of them; the one for what is too much, when there are too
        many."""
        name: Name = (labels, None if custom is None else custom.config, values)
        found = self.series.get(name)
        if found is not None:
            return found
        if len(self.series) >= self.budget:
            labels = tuple((label, value if label == "reporter" else OVERFLOW) for label, value in labels)
            found = self._overflow.get(labels)
            if found is None:
                found = self._overflow[labels] = Series(labels)
            return found
        found = self.series[name] = Series(labels, custom, values)
        return found

    def sweep(self, now: float) -> bool:
        """Give up what was not used for long; whether there was any."""
        dead = [name for name, series in self.series.items() if series.used < now - IDLE]
        for name in dead:
            del self.series[name]
        return bool(dead)

    def clear(self) -> None:
        """Count from zero again."""
        self.series.clear()
        self._overflow.clear()

    def read(self) -> dict[tuple[str, Labels], Value]:
        """Every number, by its metric and labels."""
        made: dict[tuple[str, Labels], Value] = {}
        for series in (*self.series.values(), *self._overflow.values()):
            custom = series.custom
            for name, value in series.read():
                labels = series.labels if custom is None else custom.labels(name, series.labels, series.values)
                if labels is not None:  # what differs in a label that was taken away is told as one
                    known = made.get((name, labels))
                    made[name, labels] = value if known is None else _together(known, value)
        return made


def _together(one: Value, other: Value) -> Value:
    if isinstance(one, Histogram) and isinstance(other, Histogram):
        return one.merged(other)
    if isinstance(one, int) and isinstance(other, int):
        return one + other
    raise TypeError("a metric is a number or a histogram")


class Reporter:
    """Of a listener: which end of its requests this proxy is. What it looked up is gone with its configuration."""

    __slots__ = ("_custom", "_fallback", "_known", "_peers", "_registry", "inbound")

    def __init__(self, registry: Registry, inbound: bool, config: ServiceMetrics | None = None) -> None:
        self._registry = registry
        self.inbound = inbound
        self._custom = CustomLabels(config) if config is not None and config.metrics else None
        self._fallback = config is None or config.host_fallback
        self._known: dict[Key, Series] = {}
        self._peers: dict[bytes, Workload] = {}

    def forget(self) -> None:
        """Look everything up anew: series were given up."""
        self._known.clear()

    # Requests.

    def request(self, record: Record) -> None:
        """A request is over."""
        head = record.request
        grpc = head is not None and is_grpc(head)
        destination = record.destination
        other: object
        if self.inbound:
            peer = None if record.connection is None else record.connection.peer
            other = None if peer is None else (peer.uris, peer.certificate != b"")
        else:
            other = record.host if record.upstream is not None else None
        named = destination is not None and destination.services
        key: Key = (
            record.status, record.flags, destination, b"" if named or head is None else head.host, other,
            record.peer, record.host if other is None else None, grpc_status(record) if grpc else -1,
        )  # fmt: skip
        values: tuple[str, ...] = ()
        if self._custom is not None:
            values = self._custom.values(record)
            key = (*key, values)
        series = self._known.get(key)
        if series is None:
            series = self._find(key, record, grpc, values)
        series.add(record)

    def _find(self, key: Key, record: Record, grpc: bool, values: tuple[str, ...]) -> Series:
        labels = (
            *self._ends(record),
            ("request_protocol", "grpc" if grpc else "http"),
            ("response_code", str(record.status)),
            ("grpc_response_status", str(status) if grpc and (status := grpc_status(record)) >= 0 else ""),
            ("response_flags", record.flags or "-"),
        )
        series = self._registry.get(labels, self._custom, values)
        if len(self._known) >= _PEERS:
            self._known.clear()
        self._known[key] = series
        return series

    # Connections.

    def opened(self, record: Record) -> Series:
        """A connection has come to its host."""
        series = self._connection(record)
        series.opened += 1
        series.used = record.upstream.stood if record.upstream is not None else record.began
        return series

    def passed(self, series: Series, now: float, received: int, sent: int) -> None:
        """So many bytes more have passed on a connection that is not over."""
        series.used = now
        series.received += received
        series.sent += sent

    def ended(self, record: Record, counted: Series | None, received: int, sent: int) -> None:
        """A connection is over; ``counted`` is where it was counted when it came to its host, the numbers are the bytes that
        were not told before."""
        series = self._connection(record)
        if counted is None:
            series.opened += 1
        series.used = record.ended
        series.closed += 1
        series.received += received
        series.sent += sent

    def _connection(self, record: Record) -> Series:
        labels = (*self._ends(record), ("request_protocol", "tcp"), ("response_flags", record.flags or "-"))
        custom = self._custom
        return self._registry.get(labels, custom, () if custom is None else custom.values(record))

    # Who and whom.

    def _ends(self, record: Record) -> Labels:
        own = self._registry.own
        peer = self._peer(record.peer)
        if self.inbound:
            source, destination = peer, own
        else:
            found = _of_host(record.host)
            source, destination = own, found if found.name or peer is NOBODY else peer
        return (
            ("reporter", "destination" if self.inbound else "source"),
            *source.labels("source"),
            ("source_principal", self._principal(record, of_source=True)),
            *destination.labels("destination"),
            ("destination_principal", self._principal(record, of_source=False)),
            *_service(record, self._fallback),
            ("connection_security_policy", self._policy(record.connection)),
        )

    def _peer(self, told: bytes) -> Workload:
        if not told:
            return NOBODY
        known = self._peers.get(told)
        if known is None:
            if len(self._peers) >= _PEERS:
                self._peers.clear()
            known = self._peers[told] = of_header(told)
        return known

    def _principal(self, record: Record, of_source: bool) -> str:
        facts = record.connection if self.inbound else record.upstream
        if facts is None or facts.secured is None:
            return UNKNOWN
        theirs = of_source is self.inbound
        peer = facts.peer if theirs else facts.secured.local
        return peer.uris[0].decode() if peer is not None and peer.uris else UNKNOWN

    def _policy(self, facts: ConnectionFacts | None) -> str:
        """Only who takes the connection knows how it came."""
        if not self.inbound:
            return UNKNOWN
        return "mutual_tls" if facts is not None and facts.peer is not None and facts.peer.certificate else "none"


def _of_host(host: Host | None) -> Workload:
    return NOBODY if host is None or host.endpoint is None else of_endpoint(host.endpoint.metadata)


def _service(record: Record, fallback: bool) -> Labels:
    """What was asked for: the cluster's service, else a name for where it went, else the host that was asked for where that
    may be told (``fallback``)."""
    destination: ClusterFacts | None = record.destination
    if destination is not None and destination.services:
        service = destination.services[0]
        found = (service.host, service.name, service.namespace)
    else:
        head = record.request
        asked = UNKNOWN if head is None or not head.host or not fallback else head.host.decode("latin-1")
        name = destination.name.decode() if destination is not None and destination.name in _WITHOUT_SERVICE else asked
        found = (asked, name, UNKNOWN)
    names = ("destination_service", "destination_service_name", "destination_service_namespace")
    return tuple(zip(names, (part or UNKNOWN for part in found), strict=True))

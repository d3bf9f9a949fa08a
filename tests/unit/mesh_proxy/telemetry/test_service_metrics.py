"""The number of series is bounded, and dead ones are given up."""

from mesh_proxy.balancing.host import Host
from mesh_proxy.ipc import Histogram
from mesh_proxy.telemetry.facts import ConnectionFacts, Secured
from mesh_proxy.telemetry.record import Record
from mesh_proxy.telemetry.service_metrics import IDLE, OVERFLOW, Registry, Reporter
from mesh_proxy.telemetry.workload import header_of
from mesh_proxy.tls.peer import Peer
from tests.unit.mesh_proxy.making import head


def over(status: int = 200, ended: float = 1.0, name: str = "a", **fields: object) -> Record:
    record = Record(ended - 0.5, 0.0)
    record.request = head("/", host=name)
    record.status, record.ended = status, ended
    for field, value in fields.items():
        setattr(record, field, value)
    return record


def counts(registry: Registry) -> dict[str, int]:
    """Requests by the host that was asked for."""
    return {
        dict(labels)["destination_service"]: value
        for (name, labels), value in registry.read().items()
        if name == "istio_requests_total" and not isinstance(value, Histogram)
    }


def test_what_is_too_much_is_counted_together() -> None:
    registry = Registry(budget=2)
    reporter = Reporter(registry, inbound=False)
    for name in ("a", "b", "c", "d", "a", "c"):
        reporter.request(over(name=name))
    assert counts(registry) == {"a": 2, "b": 1, OVERFLOW: 3}


def test_ends_of_too_much_are_still_told_apart() -> None:
    registry = Registry(budget=0)
    for inbound in (False, True):
        Reporter(registry, inbound).request(over())
    found = {dict(labels)["reporter"] for _, labels in registry.read()}
    assert found == {"source", "destination"}


def test_series_that_are_not_used_make_room() -> None:
    registry = Registry(budget=2)
    reporter = Reporter(registry, inbound=False)
    reporter.request(over(name="a", ended=1.0))
    reporter.request(over(name="b", ended=IDLE))
    assert not registry.sweep(IDLE)
    assert registry.sweep(IDLE + 2.0)
    reporter.forget()
    assert counts(registry) == {"b": 1}
    reporter.request(over(name="c", ended=IDLE + 3.0))
    reporter.request(over(name="a", ended=IDLE + 3.0))
    assert counts(registry) == {"b": 1, "c": 1, OVERFLOW: 1}


def certified(uri: str) -> Peer:
    return Peer(b"certificate", {"subjectAltName": (("URI", uri),)})


def test_who_takes_a_connection_knows_how_it_came() -> None:
    registry = Registry()
    facts = ConnectionFacts()
    facts.peer = certified("spiffe://a/client")
    facts.secured = Secured("TLSv1.3", "c", "", certified("spiffe://a/server"))
    told = header_of({"WORKLOAD_NAME": "shopper"})
    Reporter(registry, inbound=True).request(over(connection=facts, peer=told))
    ((_, labels),) = [key for key in registry.read() if key[0] == "istio_requests_total"]
    found = dict(labels)
    assert found["source_principal"] == "spiffe://a/client"
    assert found["destination_principal"] == "spiffe://a/server"
    assert found["connection_security_policy"] == "mutual_tls"
    assert found["source_workload"] == "shopper"


def test_who_asks_knows_whom_when_there_is_a_connection() -> None:
    registry = Registry()
    reporter = Reporter(registry, inbound=False)
    host = Host("h", ("10.0.0.1", 80))
    reporter.request(over(503, host=host))
    facts = ConnectionFacts()
    facts.peer = certified("spiffe://a/server")
    facts.secured = Secured("TLSv1.3", "c", "", certified("spiffe://a/client"))
    reporter.request(over(503, host=host, upstream=facts))
    found = sorted(
        dict(labels)["destination_principal"] for name, labels in registry.read() if "requests_total" in name
    )
    assert found == ["spiffe://a/server", "unknown"]


def test_sizes_have_their_heads_in_them() -> None:
    registry = Registry()
    Reporter(registry, inbound=False).request(over(bytes_received=5, head_received=100, bytes_sent=7, head_sent=200))
    values = {name: value for (name, _), value in registry.read().items()}
    request, response, times = (
        values[name] for name in ("istio_request_bytes", "istio_response_bytes", "istio_request_duration_milliseconds")
    )
    assert isinstance(request, Histogram)
    assert isinstance(response, Histogram)
    assert isinstance(times, Histogram)
    assert (request.sum, response.sum, times.sum) == (105, 207, 500.0)

"""Labels that a configuration adds, replaces and takes away, and metrics that it does not want."""

import pytest

from mesh_api.config import MetricOverride, ServiceMetrics
from mesh_proxy.ipc import Histogram
from mesh_proxy.telemetry.operators import FormatError
from mesh_proxy.telemetry.record import Record
from mesh_proxy.telemetry.service_metrics import Registry, Reporter
from tests.unit.mesh_proxy.making import head

REQUESTS, TIMES = "istio_requests_total", "istio_request_duration_milliseconds"


def over(path: str = "/", ended: float = 1.0) -> Record:
    record = Record(ended - 0.5, 0.0)
    record.request, record.path = head(path, "x-team: red"), path.encode()
    record.status, record.ended = 200, ended
    return record


def read(
    *overrides: MetricOverride, paths: tuple[str, ...] = ("/",), inbound: bool = False
) -> dict[str, list[dict[str, str]]]:
    registry = Registry()
    reporter = Reporter(registry, inbound, ServiceMetrics(overrides))
    for path in paths:
        reporter.request(over(path))
    found: dict[str, list[dict[str, str]]] = {}
    for (name, labels), value in registry.read().items():
        number = value.count if isinstance(value, Histogram) else value
        found.setdefault(name, []).append({**dict(labels), "number": str(number)})
    return found


def test_a_label_is_added_to_one_metric_alone() -> None:
    found = read(MetricOverride("requests_total", (("team", "request.headers['x-team']"), ("path", "request.path"))),
                 paths=("/a", "/b", "/a"))  # fmt: skip
    assert [(labels["team"], labels["path"], labels["number"]) for labels in found[REQUESTS]] == [
        ("red", "/a", "2"),
        ("red", "/b", "1"),
    ]
    (times,) = found[TIMES]  # which does not have the label: one series of all
    assert times["number"] == "3"
    assert "path" not in times


def test_a_label_is_replaced_or_taken_away_and_later_ones_count() -> None:
    found = read(
        MetricOverride("", (("response_code", "'any'"),), ("response_flags", "no_such")),
        MetricOverride("requests_total", (), ("response_code",)),
    )
    (requests,), (times,) = found[REQUESTS], found[TIMES]
    assert "response_code" not in requests
    assert times["response_code"] == "any"
    assert "response_flags" not in requests
    assert "response_flags" not in times


def test_a_metric_is_dropped_or_all_of_them() -> None:
    assert REQUESTS not in read(MetricOverride("requests_total", drop=True))
    assert TIMES in read(MetricOverride("requests_total", drop=True))
    assert read(MetricOverride(drop=True)) == {}


def test_what_is_not_there_is_unknown() -> None:
    (found,) = read(MetricOverride("requests_total", (("who", "request.headers['x-none']"),)))[REQUESTS]
    assert found["who"] == "unknown"


def test_an_expression_that_cannot_be_evaluated_is_refused() -> None:
    with pytest.raises(FormatError, match=r"the attribute node\.id is not supported"):
        Reporter(Registry(), True, ServiceMetrics((MetricOverride("", (("a", "node.id"),)),)))


def test_equal_configurations_go_on_counting() -> None:
    registry = Registry()
    for _ in range(2):
        config = ServiceMetrics((MetricOverride("", (("a", "'b'"),)),))
        Reporter(registry, False, config).request(over())
    numbers = [value for (name, _), value in registry.read().items() if name == REQUESTS]
    assert numbers == [2]


def test_a_host_is_told_only_where_it_may_be() -> None:
    for fallback, told in ((True, "a"), (False, "unknown")):
        registry = Registry()
        record = over()
        record.request = head("/", host="a")
        Reporter(registry, True, ServiceMetrics(host_fallback=fallback)).request(record)
        assert {dict(labels)["destination_service"] for _, labels in registry.read()} == {told}


def test_bytes_of_connections_are_told_before_they_end() -> None:
    registry = Registry()
    reporter = Reporter(registry, False)
    record = Record(0.0, 0.0)
    series = reporter.opened(record)
    reporter.passed(series, 1.0, 3, 5)
    told = {name: value for (name, _), value in registry.read().items()}
    assert (told["istio_tcp_received_bytes_total"], told["istio_tcp_sent_bytes_total"]) == (3, 5)
    reporter.ended(record, series, 1, 2)
    told = {name: value for (name, _), value in registry.read().items()}
    assert (told["istio_tcp_received_bytes_total"], told["istio_tcp_sent_bytes_total"]) == (4, 7)
    assert told["istio_tcp_connections_closed_total"] == 1

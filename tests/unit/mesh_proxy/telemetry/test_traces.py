"""Contexts of traces as they are written and read, and which requests are traced."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_api.config import OpenTelemetryTracer, Tracing, TrafficDirection, ZipkinTracer
from mesh_api.config.remote_services import HttpService
from mesh_proxy.protocol.http1 import Field, Head
from mesh_proxy.telemetry.outbox import Outbox
from mesh_proxy.telemetry.record import Record
from mesh_proxy.telemetry.sampling import BY_CLIENT, FORCED, NOT_TRACED, SAMPLED, Sampling
from mesh_proxy.telemetry.trace_context import TraceContext, read_b3, read_w3c, write_b3, write_w3c
from mesh_proxy.telemetry.tracing import Tracer
from tests.unit.mesh_proxy.making import head

SERVICE = HttpService("http://c/spans", "c")
ID = "-1234-4123-8123-123456789012"


def digits(number: int) -> st.SearchStrategy[bytes]:
    return st.integers(1, 16**number - 1).map(lambda value: b"%0*x" % (number, value))


CONTEXTS = st.builds(TraceContext, digits(32), digits(16), digits(16) | st.just(b""), st.booleans(), st.booleans())


def carrying(fields: list[Field]) -> Head:
    made = head()
    for field in fields:
        made.add(field)
    return made


@given(CONTEXTS)
def test_b3_is_read_as_it_was_written(context: TraceContext) -> None:
    assert read_b3(carrying(write_b3(context))) == context


@given(CONTEXTS)
def test_w3c_is_read_as_it_was_written(context: TraceContext) -> None:
    found = read_w3c(carrying(write_w3c(context)))
    assert found == TraceContext(context.trace_id, context.span_id, b"", context.sampled)


@given(st.binary(max_size=80).filter(lambda value: b"\r" not in value and b"\n" not in value))
def test_anything_may_come(value: bytes) -> None:
    made = head()
    for name in (b"traceparent", b"b3", b"x-b3-traceid", b"x-b3-spanid", b"x-b3-sampled"):
        made.add(Field(0, name, value, b""))
    for found in (read_w3c(made), read_b3(made)):
        assert found is None or len(found.trace_id) in (0, 16, 32)


@pytest.mark.parametrize(
    "value",
    [
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
    ],
)
def test_a_parent_in_another_form_is_none(value: str) -> None:
    assert read_w3c(head("/", f"traceparent: {value}")) is None


def test_a_later_version_may_say_more() -> None:
    value = "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more"
    found = read_w3c(head("/", f"traceparent: {value}"))
    assert found is not None
    assert found.sampled


@pytest.mark.parametrize(
    ("shares", "lines", "reason"),
    [
        ((100, 100, 100), (f"x-request-id: 00000000{ID}",), SAMPLED),
        ((100, 50, 100), (f"x-request-id: 00001387{ID}",), SAMPLED),
        ((100, 50, 100), (f"x-request-id: 00001388{ID}",), NOT_TRACED),
        ((100, 100, 50), (f"x-request-id: 00001388{ID}",), NOT_TRACED),
        ((100, 0.01, 100), (f"x-request-id: 00000000{ID}",), SAMPLED),
        ((100, 0.01, 100), (f"x-request-id: 00000001{ID}",), NOT_TRACED),
        ((100, 0, 100), (f"x-request-id: 00000001{ID}", "x-client-trace-id: c"), BY_CLIENT),
        ((0, 0, 100), (f"x-request-id: 00000001{ID}", "x-client-trace-id: c"), NOT_TRACED),
        ((100, 0, 100), (f"x-request-id: 00000001{ID}".replace("-4123", "-a123"),), FORCED),
        ((100, 100, 100), ("x-request-id: 7",), NOT_TRACED),
        ((100, 100, 100), (), NOT_TRACED),
        ((100, 100, 100), (f"x-request-id: zzzzzzzz{ID}",), NOT_TRACED),
    ],
)
def test_a_share_is_sampled(shares: tuple[float, float, float], lines: tuple[str, ...], reason: bytes) -> None:
    request = head("/", *lines)
    before = request.get(b"x-request-id")
    assert Sampling(Tracing(*shares), True).decide(request, lambda: 0.5) == reason
    after = request.get(b"x-request-id")
    if before is not None and len(before) == 36 and not before.startswith(b"z"):
        assert after == before[:14] + reason + before[15:]
    else:
        assert after == before


def test_where_the_id_does_not_say_the_tracer_decides() -> None:
    request = head("/", "x-request-id: 7")
    assert Sampling(Tracing(0, 0, 0), False).decide(request, lambda: 0.5) == SAMPLED
    assert request.get(b"x-request-id") == b"7"


def ended(tracer: Tracer, *lines: str) -> tuple[Head, Outbox]:
    request, outbox = head("/a?b", f"x-request-id: 00000001{ID}", *lines), Outbox()
    record = Record(10.0, 1_700_000_000.5)
    record.request, record.path, record.status, record.ended = request, b"/a?b", 503, 10.25
    tracer.begin(request, record, lambda: 0.5)
    tracer.end(record, "", outbox)
    return request, outbox


def test_a_span_is_told_with_what_is_known() -> None:
    tracer = OpenTelemetryTracer(SERVICE)
    _, outbox = ended(Tracer(Tracing(tracer=tracer), True, TrafficDirection.OUTBOUND, lambda bits: 7))
    (((destination, (entry,)),)) = (outbox.take()[0],)
    assert destination == tracer
    trace_id, span_id, parent, name, kind, began, end, tags, failed, _ = entry
    assert (trace_id, span_id, parent) == (b"0" * 31 + b"7", b"0" * 15 + b"7", b"")
    assert (name, kind, failed) == ("egress h", "CLIENT", True)
    assert (began, end) == (1_700_000_000_500_000, 1_700_000_000_750_000)
    found = dict(tags)
    assert (found["http.url"], found["http.status_code"], found["error"]) == ("http://h/a?b", "503", "true")


def test_a_span_that_is_not_sampled_is_told_those_behind_alone() -> None:
    tracing = Tracing(100.0, 0.0, 100.0, tracer=ZipkinTracer(SERVICE))
    request, outbox = ended(Tracer(tracing, True, TrafficDirection.INBOUND))
    assert request.get(b"x-b3-sampled") == b"0"
    assert outbox.take() == []


def test_a_long_path_is_cut_off() -> None:
    tracing = Tracing(tracer=OpenTelemetryTracer(SERVICE), max_path_tag_length=3)
    _, outbox = ended(Tracer(tracing, True, TrafficDirection.INBOUND))
    assert dict(outbox.take()[0][1][0][7])["http.url"] == "http://h/a?"


def test_what_does_not_fit_is_dropped_and_counted() -> None:
    outbox, woken = Outbox(600), []
    outbox.wake = lambda: woken.append(1)
    for number in range(700):
        outbox.add("x", (number,))
    assert (outbox.added, outbox.dropped, len(woken)) == (600, 100, 1)
    assert [len(entries) for _, entries in outbox.take()] == [600]
    outbox.add("y", (1,))
    assert outbox.take() == [("y", ((1,),))]

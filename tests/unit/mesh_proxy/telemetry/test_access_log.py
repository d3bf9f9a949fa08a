"""Lines of the access log, in Envoy's formats."""

import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_api.config import AccessLog
from mesh_proxy.telemetry.access_log import FormatError, compile_text
from mesh_proxy.telemetry.logs import compile_log, pieces_of
from mesh_proxy.telemetry.operators import unique_id
from mesh_proxy.telemetry.pieces import Pieces
from mesh_proxy.telemetry.record import Record
from tests.unit.mesh_proxy.making import answer, head

ISTIO = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% '
    "%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% \"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% "
    '%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" '
    '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% '
    "%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n"
)  # fmt: skip
"""What Istio sends when nothing else is asked for."""


def empty() -> Record:
    return Record(10.0, 0.0)


def full() -> Record:
    record = Record(10.0, 1_700_000_000.25)
    record.ended = 10.5
    record.request = head("/raw", "X-Id: 007", "User-Agent: curl/8", "X-Forwarded-For: 1.2.3.4", host="svc:80")
    record.response = answer("X-Envoy-Upstream-Service-Time: 12", "Content-Type: text/plain")
    record.path, record.original_path = b"/new?q", b"/old?q"
    record.status, record.details, record.termination = 503, "via_upstream", "ended"
    record.failure = "delayed_connect_error:_Connection_refused"
    record.flag("URX")
    record.flag("UF")
    record.bytes_received, record.bytes_sent = 5, 1234
    record.route, record.cluster, record.sni = b"default", b"outbound|80||svc", b"svc.example"
    record.upstream_host, record.upstream_local = b"10.0.0.1:80", b"10.0.0.9:4711"
    record.downstream_local, record.downstream_remote = b"10.0.0.2:80", b"10.0.0.3:999"
    return record


OPERATORS = [
    ("%START_TIME%", "2023-11-14T22:13:20.250Z", "1970-01-01T00:00:00.000Z"),
    ("%PROTOCOL%", "HTTP/1.1", "HTTP/1.1"),
    ("%RESPONSE_CODE%", "503", "0"),
    ("%RESPONSE_FLAGS%", "URX,UF", "-"),
    ("%RESPONSE_CODE_DETAILS%", "via_upstream", "-"),
    ("%CONNECTION_TERMINATION_DETAILS%", "ended", "-"),
    ("%UPSTREAM_TRANSPORT_FAILURE_REASON%", "delayed_connect_error:_Connection_refused", "-"),
    ("%BYTES_RECEIVED%", "5", "0"),
    ("%BYTES_SENT%", "1234", "0"),
    ("%DURATION%", "500", "0"),
    ("%UPSTREAM_HOST%", "10.0.0.1:80", "-"),
    ("%UPSTREAM_CLUSTER%", "outbound|80||svc", "-"),
    ("%UPSTREAM_CLUSTER_RAW%", "outbound|80||svc", "-"),
    ("%UPSTREAM_LOCAL_ADDRESS%", "10.0.0.9:4711", "-"),
    ("%DOWNSTREAM_LOCAL_ADDRESS%", "10.0.0.2:80", "-"),
    ("%DOWNSTREAM_REMOTE_ADDRESS%", "10.0.0.3:999", "-"),
    ("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "10.0.0.3", "-"),
    ("%REQUESTED_SERVER_NAME%", "svc.example", "-"),
    ("%ROUTE_NAME%", "default", "-"),
    ("%REQ(:METHOD)%", "GET", "-"),
    ("%REQ(:PATH)%", "/new?q", "-"),
    ("%REQ(:AUTHORITY)%", "svc:80", "-"),
    ("%REQ(Host)%", "svc:80", "-"),
    ("%REQ(X-ENVOY-ORIGINAL-PATH)%", "/old?q", "-"),
    ("%REQ(X-ID)%", "007", "-"),
    ("%REQ(X-NONE)%", "-", "-"),
    ("%REQ(X-NONE?X-ID)%", "007", "-"),
    ("%REQ(X-ID?X-NONE)%", "007", "-"),
    ("%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "/old?q", "-"),
    ("%REQ(USER-AGENT):4%", "curl", "-"),
    ("%RESP(Content-Type)%", "text/plain", "-"),
    ("%RESP(X-NONE?CONTENT-TYPE):4%", "text", "-"),
    ("%RESP(X-ID)%", "-", "-"),
    ("100%%", "100%", "100%"),
    ("%%REQ(X-ID)%%", "%REQ(X-ID)%", "%REQ(X-ID)%"),
    ("a %RESPONSE_CODE%%%%BYTES_SENT% é", "a 503%1234 é", "a 0%0 é"),
    ("", "", ""),
]


@pytest.mark.parametrize(("text", "expected", "of_nothing"), OPERATORS, ids=[row[0] or "empty" for row in OPERATORS])
def test_an_operator_is_what_is_known_or_a_dash(text: str, expected: str, of_nothing: str) -> None:
    assert compile_text(text)(full()).decode() == expected
    assert compile_text(text)(empty()).decode() == of_nothing
    pieces = Pieces(text, b"-")
    assert pieces.of(full()).decode() == expected
    assert pieces.of(empty()).decode() == of_nothing


def test_the_path_is_the_one_asked_for_where_nothing_was_rewritten() -> None:
    record = full()
    record.original_path = b""
    assert compile_text("%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%")(record) == b"/new?q"


def test_an_address_of_ipv6_without_its_port_has_no_brackets() -> None:
    record = full()
    record.downstream_remote = b"[fe80::1]:999"
    assert compile_text("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%")(record) == b"fe80::1"


def test_the_line_of_istio() -> None:
    line = (
        '[2023-11-14T22:13:20.250Z] "GET /old?q HTTP/1.1" 503 URX,UF via_upstream ended '
        '"delayed_connect_error:_Connection_refused" 5 1234 500 12 "1.2.3.4" "curl/8" "-" "svc:80" "10.0.0.1:80" '
        "outbound|80||svc 10.0.0.9:4711 10.0.0.2:80 10.0.0.3:999 svc.example default\n"
    )
    config = AccessLog("/dev/stdout", ISTIO)
    assert compile_log(config)(full()).decode() == line
    assert pieces_of(config).of(full()).decode() == line


@given(st.lists(st.sampled_from([row[0] for row in OPERATORS]), max_size=20), st.booleans())
def test_pieces_say_what_the_expression_says(rows: list[str], omits: bool) -> None:
    config = AccessLog("/dev/stdout", " ".join(rows) or "-", omit_empty_values=omits)
    for record in (full(), empty(), of_many_fields()):
        assert pieces_of(config).of(record) == compile_log(config)(record)


def of_many_fields() -> Record:
    record = full()
    record.request = head("/", "X-Id: 1", "X-Id: 2", "User-Agent: a", "User-Agent: b")
    record.response = answer("Content-Type: a", "Content-Type: b")
    return record


@given(st.floats(0.0, 2e9))
def test_pieces_write_times_as_the_expression_does(started: float) -> None:
    config, record = AccessLog("/dev/stdout", "%START_TIME%"), Record(0.0, started)
    assert pieces_of(config).of(record) == compile_log(config)(record)


BAD = [
    ("%NO_SUCH%", "the access log operator %NO_SUCH% is not supported"),
    ("%DYNAMIC_METADATA(a:)%", "the access log operator %DYNAMIC_METADATA%: 'a:' is no namespace and keys"),
    ("%REQ(a?b?c)%", "the access log operator %REQ%: 'a?b?c' is no field, with one other at most in its place"),
    ("%START_TIME(%n)%", "the access log operator %START_TIME%: '%n' has a line end"),
    ("%COMMON_DURATION(DS_RX_BEG:NEVER)%", "'NEVER' is none of the points of time"),
    ("%GRPC_STATUS(WORD)%", "'WORD' is none of CAMEL_STRING, SNAKE_STRING, NUMBER"),
    ("%PATH(XX)%", "'XX' is not WQ or NQ"),
    ("%METADATA(LISTENER:a)%", "metadata of 'LISTENER' are none of DYNAMIC, CLUSTER, UPSTREAM_HOST"),
    ("%START_TIME:3%", "%START_TIME% is not supported in this form"),
    ("100%", "'100%' has a % that begins no operator"),
    ("%req(a)%", "has a % that begins no operator"),
    ("%REQ(a%", "has a % that begins no operator"),
    ("%REQ(a):b%", "has a % that begins no operator"),
    ("%%%", "has a % that begins no operator"),
    ("%REQ%", "%REQ% is not supported in this form"),
    ("%RESP()%", "%RESP% is not supported in this form"),
    ("%ROUTE_NAME(a)%", "%ROUTE_NAME% is not supported in this form"),
    ("%BYTES_SENT:2%", "%BYTES_SENT% is not supported in this form"),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_a_format_that_is_not_understood_is_refused_by_name(text: str, message: str) -> None:
    for config in (AccessLog("/l", text), AccessLog("/l", json_format=(("a", text),))):
        with pytest.raises(FormatError) as caught:
            compile_log(config)
        assert message in str(caught.value)


JSON = [
    ("%RESPONSE_CODE%", 503, 0),
    ("%BYTES_RECEIVED%", 5, 0),
    ("%BYTES_SENT%", 1234, 0),
    ("%DURATION%", 500, 0),
    ("%RESPONSE_CODE%x", "503x", "0x"),
    ("%REQ(X-ID)%", "007", None),
    ("%REQ(X-NONE)%", None, None),
    ("%REQ(X-NONE)%%RESPONSE_CODE%", "-503", "-0"),
    ("%RESPONSE_FLAGS%", "URX,UF", "-"),
    ("%UPSTREAM_HOST%", "10.0.0.1:80", None),
    ("-", "-", "-"),
    ("12", "12", "12"),
    ("%%", "%", "%"),
    ("", "", ""),
]


@pytest.mark.parametrize(("text", "expected", "of_nothing"), JSON, ids=[row[0] or "empty" for row in JSON])
def test_a_value_of_json_is_a_number_null_or_a_string(text: str, expected: object, of_nothing: object) -> None:
    """As measured on Envoy 1.40: only one operator alone is no string."""
    log = compile_log(AccessLog("/l", json_format=(("k", text), ("z", "x"))))
    for record, value in ((full(), expected), (empty(), of_nothing)):
        line = log(record)
        assert line.endswith(b"}\n")
        assert json.loads(line) == {"k": value, "z": "x"}


def test_any_bytes_of_a_header_are_written_as_json() -> None:
    record = empty()
    record.request = head("/", 'X-A: "\\\xff' + "9" * 6000)
    log = compile_log(AccessLog("/l", json_format=(("k", "%REQ(X-A)%"),)))
    assert json.loads(log(record)) == {"k": '"\\\xff' + "9" * 6000}


def test_digits_of_a_client_are_no_number() -> None:
    record = empty()
    record.request = head("/", "X-A: " + "9" * 6000)
    log = compile_log(AccessLog("/l", json_format=(("k", "%REQ(X-A)%"),)))
    assert json.loads(log(record)) == {"k": "9" * 6000}


@pytest.mark.parametrize(
    ("wanted", "flags", "written"),
    [
        ((), [], True),
        (("NR",), [], False),
        (("NR",), ["UH"], False),
        (("NR",), ["NR"], True),
        (("NR", "UH"), ["URX", "UH"], True),
        (("UR",), ["URX"], False),
    ],
)
def test_a_log_for_some_flags_leaves_other_requests_out(
    wanted: tuple[str, ...], flags: list[str], written: bool
) -> None:
    record = empty()
    for flag in flags:
        record.flag(flag)
    for config in (AccessLog("/l", "x\n"), AccessLog("/l", json_format=(("a", "x"),))):
        log = compile_log(AccessLog(config.path, config.text_format, config.json_format, wanted))
        assert bool(log(record)) is written


@pytest.mark.parametrize(
    ("flags", "expected"),
    [([], ""), (["UH"], "UH"), (["", "-"], ""), (["DI", "FI", "DI"], "DI,FI"), (["URX,UF", "UF"], "URX,UF")],
)
def test_flags_of_a_record_stand_once_each(flags: list[str], expected: str) -> None:
    record = empty()
    for flag in flags:
        record.flag(flag)
    assert record.flags == expected


def test_ids_of_entries_are_random_uuids() -> None:
    ids = {unique_id().decode() for _ in range(64)}
    assert len(ids) == 64
    for text in ids:
        made = uuid.UUID(text)
        assert (str(made), made.version, made.variant) == (text, 4, uuid.RFC_4122)

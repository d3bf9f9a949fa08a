"""Every command operator, as text and as JSON, at a real Envoy and at our worker: the same lines.

Each log has one operator for each part of a line; what differs from one run to the next (times, ports, ids) is made alike
first. Where ours tells something else, :data:`OTHERWISE` says why.
"""

import contextlib
import json
import re
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from mesh_api.config import (
    AccessLog,
    CertificateSource,
    CertificateValidation,
    CommonTls,
    DataSource,
    DownstreamTls,
    FilterChain,
    Listener,
    ProxyConfig,
    TlsParameters,
    UpstreamTls,
)
from mesh_api.config import access_log_filters as f
from mesh_api.config.matchers import HeaderMatch, StringMatch, StringMatchKind
from mesh_api.config.secrets import TlsCertificate
from mesh_proxy import ipc
from mesh_proxy.telemetry.operators import CALLED, OPTIONAL, PLAIN
from tests.integration.mesh_proxy.worker.harness import Servers
from tests.integration.mesh_proxy.worker.test_tls import TlsClient
from tests.support.authority import Authority
from tests.support.envoy_process import EnvoyProcess
from tests.support.proxy_config import ANY_PORT, cluster, host, http_listener, manager, route, tcp_config
from tests.support.raw_http import Client, Request, Wire, answer
from tests.support.worker_process import LIMIT, WorkerProcess

pytestmark = pytest.mark.integration

ARGUMENTS = {
    "REQ": (
        "X-A",
        "x-a?:PATH",
        "X-NONE?:PATH",
        ":METHOD",
        ":authority",
        ":SCHEME",
        "X-NONE",
        "x-twice",
        "X-FORWARDED-PROTO",
    ),
    "RESP": ("X-ENVOY-UPSTREAM-SERVICE-TIME", "CONTENT-TYPE", "x-none?content-length", ":STATUS", "SERVER"),
    "TRAILER": ("x-trailer",),
    "START_TIME": ("%Y/%m/%dT%H:%M:%S%z", "%s", "%s.%3f", "%3f", "%f", "%6f", "%E3S", "%E*S", "%H:%M:%E2S%%"),
    "START_TIME_LOCAL": ("%Y",),
    "EMIT_TIME": ("%Y",),
    "COMMON_DURATION": ("DS_RX_BEG:DS_TX_END:us", "US_RX_BEG:DS_RX_BEG:ms", "US_TX_BEG:US_RX_BEG"),
    "ENVIRONMENT": ("HOME", "NOT_SET_AT_ALL"),
    "DYNAMIC_METADATA": ("a:b",),
    "CLUSTER_METADATA": ("istio:config", "istio:none", "istio"),
    "UPSTREAM_METADATA": ("istio:workload", "none:workload"),
    "FILTER_STATE": ("an.object", "an.object:PLAIN"),
    "UPSTREAM_FILTER_STATE": ("an.object",),
    "QUERY_PARAM": ("q", "none"),
    "GRPC_STATUS": ("CAMEL_STRING", "SNAKE_STRING", "NUMBER"),
    "PATH": ("WQ:ORIG", "NQ:PATH", "NQ"),
    "QUERY_PARAMS": ("ORIG", "DECODED"),
}
LIMITED = ("REQ(X-A):3", "REQ(X-NONE):3", "RESP(CONTENT-TYPE):4")
OURS_ALONE = {"METADATA", "REQ_WITHOUT_QUERY", "EMIT_TIME_LOCAL"}
"""Those of extensions."""


def operators() -> list[str]:
    """Every operator in every form."""
    found = [name for name in (*PLAIN, *OPTIONAL) if name not in OURS_ALONE]
    found += [f"{name}({text})" for name, texts in ARGUMENTS.items() for text in texts]
    return found + list(LIMITED)


OPERATORS = operators()
FORMS: dict[str, Any] = {
    "text": {"text_format": "\x1e".join(f"%{one}%" for one in OPERATORS) + "\n"},
    "json": {"json_format": tuple((one, f"%{one}%") for one in OPERATORS)},
    "text omitting": {
        "text_format": "\x1e".join(f"%{one}%" for one in OPERATORS) + "\n",
        "omit_empty_values": True,
    },
    "json omitting": {"json_format": tuple((one, f"%{one}%") for one in OPERATORS), "omit_empty_values": True},
    "nested": {
        "json_object": json.dumps(
            {
                "b": {"z": "%PROTOCOL%", "none": "%REQ(NONE)%", "both": "%REQ(NONE)%%PROTOCOL%"},
                "a": ["%RESPONSE_CODE%", {"x": "%REQ(X-A)%"}, "%REQ(NONE)%", "text", "100%%"],
                "n": 1.5, "t": True, "i": 3,
                'k"ey\u00fc': "%REQ(X-STRANGE)%",
                "": "%REQ(X-A)% \u00fc\"",
            },
            sort_keys=True, separators=(",", ":"),
        )
    },
    "default": {},
}  # fmt: skip


EXPRESSIONS = (
    "response.code >= 400",
    "response.code == 200 || response.code == 404",
    "!(response.code < 400) && request.method == 'GET'",
    "request.url_path.startsWith('/know')",
    "request.path.endsWith(\"n\") || request.path.contains('where')",
    "request.headers['x-a'] == 'value'",
    "request.headers['x-a'] != 'value'",
    "'x-a' in request.headers",
    "has(request.headers.x) || has(request.useragent)",
    "request.headers['x-a'] == 'value' || response.code == 503",
    "response.code == 503 || request.headers['x-a'] == 'value'",
    "request.headers['x-none'] == 'value' && response.code == 200",
    "!(request.headers['x-none'] == 'value')",
    "connection.mtls",
    "connection.mtls == false",
    "request.path.matches('^/kn?.*n$')",
    "response.code in [200, 404]",
    "request.method in ['POST', 'GET'] && request.host == 'test'",
    "size(request.path) == 7 || request.id.startsWith('ffff')",
    "response.code_details == 'route_not_found'",
    "response.headers['content-type'] == 'text/plain'",
    "request.protocol == 'HTTP/1.1' && request.scheme == 'http'",
    "response.code == '200'",
    "destination.port > 0 && source.address.startsWith('127.0.0.1:')",
    "xds.cluster_name == 'echo' && upstream.port > 0",
    "response.size > 5 && request.size == 0",
    "request.query == ''",
    "connection.requested_server_name == ''",
)
WITH_A = f.HeaderFilter(HeaderMatch("x-a"))
FILTERS: dict[str, f.LogFilter] = {
    "400 and more": f.StatusCodeFilter("GE", 400),
    "at most 200": f.StatusCodeFilter("LE", 200),
    "404": f.StatusCodeFilter("EQ", 404),
    "not 404": f.StatusCodeFilter("NE", 404),
    "long ones": f.DurationFilter("GE", 3_600_000),
    "any time": f.DurationFilter("GE", 0),
    "flagged": f.ResponseFlagFilter(),
    "no route": f.ResponseFlagFilter(("NR",)),
    "header": f.HeaderFilter(HeaderMatch("x-a", StringMatch(StringMatchKind.EXACT, "value"))),
    "no header": f.HeaderFilter(HeaderMatch("x-a", None, True, True)),
    "and": f.AllOf((f.StatusCodeFilter("GE", 400), f.ResponseFlagFilter(("NR",)))),
    "or": f.AnyOf((f.StatusCodeFilter("EQ", 418), f.HeaderFilter(HeaderMatch("x-a")))),
    "no health check": f.NotHealthCheckFilter(),
    "grpc not found": f.GrpcStatusFilter((5, 12)),
    "grpc but ok": f.GrpcStatusFilter((0,), True),
    "ended": f.LogTypeFilter(("DownstreamEnd",)),
    "not ended": f.LogTypeFilter(("DownstreamEnd",), True),
    "traced": f.TraceableFilter(),
    "none of them": f.SampleFilter(0),
    "half": f.SampleFilter(500_000),
    "all": f.SampleFilter(1_000_000),
    **{f"cel {number}": f.ExpressionFilter(text) for number, text in enumerate(EXPRESSIONS)},
    "nested": f.AnyOf((f.AllOf((f.StatusCodeFilter("EQ", 200), WITH_A)), f.StatusCodeFilter("EQ", 418))),
}
TOLD = (
    "%BYTES_RECEIVED% %BYTES_SENT% %RESPONSE_FLAGS% %ACCESS_LOG_TYPE% %UPSTREAM_CLUSTER_RAW% %PROTOCOL% %RESPONSE_CODE% "
    "%RESPONSE_CODE_DETAILS% %UPSTREAM_REQUEST_ATTEMPT_COUNT% %UPSTREAM_HOST% %FILTER_CHAIN_NAME%\n"
)


CLIENT_URI, SERVER_URI = "spiffe://cluster.local/ns/a/sa/client", "spiffe://cluster.local/ns/a/sa/server"
AUTHORITY = Authority()
CLIENT = AUTHORITY.certificate(CLIENT_URI, "client.example", "127.0.0.7", subject="a client")
SERVER = AUTHORITY.certificate(SERVER_URI, "server.example", subject="a server")


def common(certificate: TlsCertificate) -> CommonTls:
    """That certificate, and only certificates of the authority."""
    shown = CertificateSource(DataSource(inline=certificate.chain), DataSource(inline=certificate.key))
    trusted = CertificateValidation(trusted_ca=DataSource(inline=AUTHORITY.pem))
    # Envoy's clients offer no TLS 1.3 unless they are told to.
    newest = TlsParameters("TLSv1_3", "TLSv1_3")
    return CommonTls(validation=trusted, tls_certificates=(shown,), parameters=newest)


def logs(folder: Path, who: str, forms: dict[str, Any]) -> tuple[AccessLog, ...]:
    return tuple(AccessLog(str(folder / f"{who} {name}"), **fields) for name, fields in forms.items())


def config(folder: Path, who: str, ports: dict[str, int]) -> ProxyConfig:
    """A listener with all forms, one of them with TLS, one with all filters, and two for bytes."""
    routes = (
        route("/broken", "failing", name="broken"),
        route("/refused", "refused", name="refused"),
        route("/gone", "nowhere"),
        route("/secured", "secured"),
        route("/", "echo", name="the route"),
    )
    known = {"metadata": (("config", "a b"),), "alt_stat_name": "observed"}
    clusters = [cluster(name, port, **known if name == "echo" else {}) for name, port in ports.items()]
    clusters[-1] = replace(clusters[-1], tls=UpstreamTls(common(CLIENT), "server.example"))
    filters = {name: {"filter": one, "text_format": "%REQ(X-CASE)%\n"} for name, one in FILTERS.items()}
    kinds = {name: {"text_format": TOLD} for name in ("tcp", "listener")}
    secured = DownstreamTls(common(SERVER), True)
    manager_of = {"access_logs": logs(folder, who, FORMS)}
    (tcp,) = tcp_config(cluster("echo"), access_logs=logs(folder, who, kinds)[:1]).listeners
    (refused,) = tcp_config(cluster("refused"), access_logs=logs(folder, who, kinds)[:1]).listeners
    listeners = (
        http_listener(host(*routes), name="http", **manager_of),
        Listener("secured", ANY_PORT, (FilterChain(manager((host(*routes),), **manager_of), "chain", tls=secured),)),
        http_listener(
            host(routes[0], route("/known", "echo")), name="filtered", access_logs=logs(folder, who, filters)
        ),
        tcp,
        replace(refused, name="tcp refused"),
    )
    return ProxyConfig(listeners, clusters=tuple(clusters))


def said(request: Request) -> bytes:
    if request.target == "/trailers":
        head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-trailer\r\n\r\n"
        return head + b"2\r\nhi\r\n0\r\nx-trailer: tail\r\n\r\n"
    return b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\nserver: me\r\n\r\n12345"


ID = b"x-request-id: 12345678-1234-4123-8123-123456789012\r\n"


def get(target: str, more: bytes = b"", method: str = "GET") -> bytes:
    return f"{method} {target} HTTP/1.1\r\nhost: test\r\n".encode() + ID + more + b"\r\n"


ROWS = {
    "everything": get(
        "/a%20?q=1&b%20c&d=%20%41&e=&=f&&q=2",
        b'x-a: value\r\nx-twice: 1\r\nx-twice: 2\r\nx-strange: a"b\\\xc3\xbc\t<&>/\r\n',
    ),
    "body": get("/a", b'content-length: 10\r\nx-strange: \xff\xc3\xbcq"\\\tx\r\n', "POST") + b"0123456789",
    "broken": get("/broken"),
    "refused": get("/refused"),
    "no cluster": get("/gone"),
    "a call": get("/a", b"content-type: application/grpc\r\nte: trailers\r\n"),
    "trailers": get("/trailers", b"te: trailers\r\n"),
    "over tls": get("/secured"),
    "nonsense": b"nonsense\r\n\r\n",
}
VARYING = (
    "START_TIME", "EMIT_TIME", "UNIQUE_ID", "CONNECTION_ID", "UPSTREAM_CONNECTION_ID", "DURATION", "REQUEST_DURATION",
    "REQUEST_TX_DURATION", "RESPONSE_DURATION", "RESPONSE_TX_DURATION", "UPSTREAM_CONNECTION_POOL_READY_DURATION",
    "DOWNSTREAM_HANDSHAKE_DURATION", "COMMON_DURATION", "DOWNSTREAM_LOCAL_PORT", "DOWNSTREAM_LOCAL_ADDRESS",
    "DOWNSTREAM_REMOTE_PORT", "DOWNSTREAM_REMOTE_ADDRESS", "DOWNSTREAM_DIRECT_REMOTE_PORT", "UPSTREAM_LOCAL_PORT",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS", "DOWNSTREAM_DIRECT_LOCAL_PORT", "DOWNSTREAM_DIRECT_LOCAL_ADDRESS",
    "UPSTREAM_LOCAL_ADDRESS", "DOWNSTREAM_TLS_SESSION_ID", "UPSTREAM_TLS_SESSION_ID",
)  # fmt: skip
"""Of these only the form is compared: digits for digits."""
TO_THE_HOST = "a field that only the host is sent is not counted"
FORWARDED = "trailers of HTTP/1.1 go on, and are told of"
MISSING = "the log names the cluster that is missing"
OTHERWISE: dict[tuple[str, str], str] = {
    **{(row, "REQUEST_HEADERS_BYTES"): TO_THE_HOST for row in ROWS},
    **{("no cluster", name): MISSING for name in ("UPSTREAM_CLUSTER", "UPSTREAM_CLUSTER_RAW")},
    **{("trailers", name): FORWARDED for name in ("TRAILER(x-trailer)", "RESPONSE_TRAILERS_BYTES")},
    ("no cluster", "RESP(x-none?content-length)"): "an answer of ours says that it is empty",
    ("no cluster", "RESPONSE_HEADERS_BYTES"): "an answer of ours says that it is empty",
    ("nonsense", "RESPONSE_HEADERS_BYTES"): "that the connection ends is not counted",
    ("refused", "UPSTREAM_CONNECTION_POOL_READY_DURATION"): "it never was",
    ("over tls", "DOWNSTREAM_TLS_CIPHER"): "ours has an order of its own, Envoy takes the client's",
}
"""Row and operator where ours tells something else, and why."""


class Side:
    """One of the two proxies."""

    def __init__(self, proxy: EnvoyProcess | WorkerProcess, folder: Path, who: str) -> None:
        self.proxy = proxy
        self._folder = folder
        self._who = who
        self._read: dict[str, int] = {}

    def lines(self, name: str, more: int) -> list[str]:
        """So many new lines of a log."""
        path, before = self._folder / f"{self._who} {name}", self._read.get(name, 0)
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            if isinstance(self.proxy, WorkerProcess):
                self.proxy.send(ipc.Reopen())
                self.proxy.stats()
            found = path.read_text("latin-1").split("\n")[:-1] if path.exists() else []
            if len(found) >= before + more:
                self._read[name] = before + more
                return found[before : before + more]
        raise AssertionError(f"{name} says nothing")

    def rest(self, name: str) -> list[str]:
        """All lines of a log that other logs say to be complete."""
        path = self._folder / f"{self._who} {name}"
        return path.read_text("latin-1").split("\n")[:-1] if path.exists() else []

    def ask(self, row: str) -> dict[str, str]:
        """The line in each form that a request has."""
        if row == "over tls":
            client: Client = TlsClient(self.proxy.port("secured"), AUTHORITY.client(CLIENT), "server.example")
        else:
            client = Client(self.proxy.port("http"))
        with client:
            client.send(ROWS[row])
            client.reply()
        return {form: self.lines(form, 1)[0] for form in FORMS}


class Both(NamedTuple):
    envoy: Side
    ours: Side


@pytest.fixture(scope="module")
def both(envoy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    with contextlib.ExitStack() as stack:
        servers, folder = Servers(stack), tmp_path_factory.mktemp("logs")
        _, echo = servers.http(said)
        _, failing = servers.http(lambda request: answer(b"broken", "503 Service Unavailable"))
        server = AUTHORITY.server(SERVER, mutual=True)
        secured = servers.script(lambda wire, number: serve_tls(wire, server)).port
        ports = {"echo": echo, "failing": failing, "refused": servers.nobody(), "secured": secured}
        worker = stack.enter_context(WorkerProcess())
        taken = worker.apply(config(folder, "ours", ports))
        assert isinstance(taken, ipc.Applied), taken
        real = stack.enter_context(EnvoyProcess(envoy, folder, config(folder, "envoy", ports)))
        yield Both(Side(real, folder, "envoy"), Side(worker, folder, "ours"))


def serve_tls(wire: Wire, context: ssl.SSLContext) -> None:
    with contextlib.suppress(OSError), Wire(context.wrap_socket(wire.sock, server_side=True)) as inner:
        while inner.head():
            inner.send(answer(b"secret"))


@pytest.fixture(scope="module")
def told(both: Both) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    """What both tell of each row."""
    return {row: (both.envoy.ask(row), both.ours.ask(row)) for row in ROWS}


TIME: Final = "RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)"
HANDSHAKE: Final = "DOWNSTREAM_HANDSHAKE_DURATION"
WITH_TIME: Final = ("RESPONSE_HEADERS_BYTES", "DOWNSTREAM_HEADER_BYTES_SENT")


def negative(value: Any) -> bool:
    """Whether it is a text that tells a negative number."""
    return isinstance(value, str) and value[:1] == "-" and value[1:].isdigit()


def form_of(operator: str, value: Any) -> Any:
    """A value, or what is compared of it."""
    if operator.partition("(")[0].removesuffix("_WITHOUT_PORT") not in (*VARYING, "START_TIME_LOCAL"):
        return value
    if isinstance(value, str) and operator in ("UNIQUE_ID", *VARYING):
        return re.sub("[0-9a-f]+", "0", value)
    return re.sub("[0-9]+", "0", value) if isinstance(value, str) else type(value)


@pytest.mark.parametrize("form", [form for form in FORMS if form.startswith(("text", "json"))])
@pytest.mark.parametrize("row", ROWS)
def test_operators_tell_what_they_tell_of_envoy(told: Any, row: str, form: str) -> None:
    theirs, ours = (
        json.loads(line) if form.startswith("json") else dict(zip(OPERATORS, line.split("\x1e"), strict=True))
        for line in (told[row][0][form], told[row][1][form])
    )
    if negative(theirs.get(HANDSHAKE)):  # Envoy counts from the request, before which the handshake was
        theirs[HANDSHAKE] = theirs[HANDSHAKE][1:]
    for line in (theirs, ours):  # a time may have a digit more
        digits = len(line.get(TIME) or "")
        line |= {name: int(line[name]) - digits for name in WITH_TIME}
        line[TIME] = "-" if line.get(TIME) in ("-", "", None) else "0"
    absent = {name for name in ours.keys() ^ theirs.keys() if (row, name) not in OTHERWISE}
    assert not absent
    wrong = {
        name: (form_of(name, theirs[name]), form_of(name, ours[name]))
        for name in ours.keys() & theirs.keys()
        if (row, name) not in OTHERWISE and form_of(name, ours[name]) != form_of(name, theirs[name])
    }
    assert not wrong
    assert [name for name in theirs if name in ours and name != TIME] == [
        name for name in ours if name in theirs and name != TIME
    ]


@pytest.mark.parametrize("row", ROWS)
def test_lines_are_envoys_byte_for_byte(told: Any, row: str) -> None:
    theirs, ours = told[row]
    assert ours["nested"] == theirs["nested"]
    varying = re.compile(r"^\[[^\]]*\]|(?<= )\d+ (\d+|-) \"")
    assert varying.sub("", ours["default"]) == varying.sub("", theirs["default"])


SOME = {
    **{f"{status} {path}": get(path, f"x-case: {status} {path}\r\n".encode()) for status, path in (
        (200, "/known"), (503, "/broken"), (404, "/nowhere"),
    )},
    "header": get("/known", b"x-case: header\r\nx-a: value\r\n"),
    "other header": get("/known", b"x-case: other header\r\nx-a: other\r\n"),
    "header and 404": get("/nowhere", b"x-case: header and 404\r\nx-a: value\r\n"),
    "call": get("/nowhere", b"x-case: call\r\ncontent-type: application/grpc\r\n"),
    **{f"id {digits}": get("/known", f"x-case: id {digits}\r\n".encode()).replace(b"12345678-", digits.encode() + b"-")
       for digits in ("00000000", "0007a11f", "0007a120", "ffffffff")},
    **{f"version {digit}": get("/known", f"x-case: version {digit}\r\n".encode()).replace(b"-4123", f"-{digit}123".encode())
       for digit in "49ab"},
}  # fmt: skip


def test_filters_choose_what_envoys_do(both: Both) -> None:
    for side in both:
        with Client(side.proxy.port("filtered")) as client:
            for raw in SOME.values():
                client.send(raw)
                client.reply()
        side.lines("any time", len(SOME))
    ours = {name: both.ours.rest(name) for name in FILTERS}
    deadline = time.monotonic() + LIMIT / 3  # Envoy writes each file in its own time
    while (theirs := {name: both.envoy.rest(name) for name in FILTERS}) != ours and time.monotonic() < deadline:
        pass
    assert ours == theirs


def test_connections_of_tcp_are_told_alike(both: Both) -> None:
    told: list[list[str]] = []
    for side in both:
        with Client(side.proxy.port("tcp")) as client:
            client.send(get("/a"))
            client.head()
            client.exactly(5)
            client.end()
            client.rest()
        with Client(side.proxy.port("tcp refused")) as client:
            assert client.ended()
        told.append(side.lines("tcp", 2))
    assert told[1] == told[0]


def test_no_operator_is_left_out() -> None:
    assert {one.partition("(")[0].partition(":")[0] for one in OPERATORS} | OURS_ALONE >= {*PLAIN, *CALLED, *OPTIONAL}

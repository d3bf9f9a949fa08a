"""What servers may say of requests, and what they may not: held against Envoy elsewhere, here is where ours is stricter."""

import pytest

from mesh_api.config import AuthorizationServer, ExtAuthzFilter, GrpcService, StringMatch, StringMatchKind
from mesh_proxy.authorization import Access
from mesh_proxy.filters import Answer, Ask, Passed, Told
from mesh_proxy.filters.ext_authz import ExtAuthz
from mesh_proxy.protocol.http1 import Head, field_of
from mesh_proxy.protocol.protobuf import message, number, text
from mesh_proxy.telemetry.stats import Counters
from tests.unit.mesh_proxy.making import head

EVERYTHING = (StringMatch(StringMatchKind.REGEX, ".*"),)
ACCESS = Access(None, b"10.0.0.1:5", ("10.0.0.2", 80))


def asking(**fields: object) -> ExtAuthz:
    server = AuthorizationServer("http://a", "judge", 1.0, upstream_headers=EVERYTHING)
    return ExtAuthz(ExtAuthzFilter(http=server, **fields), Counters("http.test"))  # type: ignore[arg-type]


def told(status: int = 200, **fields: str) -> Told:
    return Told(
        status, [field_of(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()], b"", []
    )


def after(answer: Told) -> Head:
    made = head("/a", "content-length: 3", "x-a: mine", method="POST")
    assert not isinstance(asking().on_told(answer, made, None, ACCESS), Answer)
    return made


@pytest.mark.parametrize(
    "name", ["content-length", "transfer-encoding", "connection", "host", "upgrade", "keep-alive", "te", "expect"]
)
def test_no_server_decides_how_a_request_is_framed_or_whom_it_is_for(name: str) -> None:
    """Envoy lets the length of the server's own answer become the request's, whose body is another request then."""
    before = head("/a", "content-length: 3", "x-a: mine", method="POST")
    made = after(told(**{name.replace("-", "_"): "17", "x_a": "theirs"}))
    assert made.get(name.encode()) == before.get(name.encode())
    assert (made.length, made.get(b"x-a")) == (3, b"theirs")


def test_nor_takes_that_away() -> None:
    made = after(told(**{"x-envoy-auth-headers-to-remove": "content-length, host, :path, x-a"}))
    assert (made.get(b"content-length"), made.get(b"x-a"), made.target) == (b"3", None, b"/a")


@pytest.mark.parametrize("answer", [None, told(500), told(599)])
def test_who_is_not_allowed_may_not(answer: Told | None) -> None:
    verdict = asking().on_told(answer, head(), None, ACCESS)
    assert isinstance(verdict, Answer)
    assert (verdict.reply.status, verdict.reply.flags, verdict.reply.details) == (403, "UAEX", "ext_authz_error")
    assert asking(failure_mode_allow=True).on_told(answer, head(), None, ACCESS) is None


RPC = ExtAuthzFilter(grpc=GrpcService("judge"))


@pytest.mark.parametrize(
    "body",
    [b"", b"\0\0\0\0", b"\0\0\0\0\5ab", b"\1\0\0\0\0", b"\0\0\0\0\2\x0a\xff", b"\0\0\0\0\0extra"],
    ids=["nothing", "no prefix", "cut off", "compressed", "no protobuf", "more than it says"],
)
def test_an_answer_that_is_none_is_a_failure(body: bytes) -> None:
    verdict = ExtAuthz(RPC, Counters("http.test")).on_told(Told(200, [], body, []), head(), None, ACCESS)
    assert isinstance(verdict, Answer)
    assert verdict.reply.details == "ext_authz_error"


def rpc(*parts: bytes) -> Answer | Passed | None:
    """What a ``CheckResponse`` of these fields comes to."""
    body = b"".join(parts)
    framed = b"\0" + len(body).to_bytes(4, "big") + body
    verdict = ExtAuthz(RPC, Counters("http.test")).on_told(Told(200, [], framed, []), head(), None, ACCESS)
    assert verdict is None or isinstance(verdict, Answer | Passed)
    return verdict


def option(name: bytes, value: bytes) -> bytes:
    return message(1, text(1, name) + text(2, value))


DENIED = message(1, number(1, 7))


@pytest.mark.parametrize("code", [0, 1, 101, 199, 600, 1000, 70_000, 2**40])
def test_who_is_refused_with_a_status_that_is_none_is_refused(code: int) -> None:
    verdict = rpc(DENIED, message(2, message(1, number(1, code)) + text(3, b"no")))
    assert isinstance(verdict, Answer)
    assert (verdict.reply.status, verdict.reply.details, verdict.reply.body) == (403, "ext_authz_denied", b"no")


BAD_FIELDS = [
    (b"x-a", b"1\r\nx-b: 2"), (b"x-a\r\nx-b", b"1"), (b"x-a", b"\0"), (b"", b"1"), (b"x a", b"1"), (b"x-a: 1", b"2"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), BAD_FIELDS)
def test_a_field_that_would_be_several_is_a_failure(name: bytes, value: bytes) -> None:
    verdict = rpc(message(3, message(6, option(name, value))))
    assert isinstance(verdict, Answer)
    assert verdict.reply.details == "ext_authz_error"


@pytest.mark.parametrize(("name", "value"), BAD_FIELDS)
def test_who_is_refused_with_such_a_field_is_refused_without_it(name: bytes, value: bytes) -> None:
    verdict = rpc(DENIED, message(2, message(2, option(name, value)) + message(2, option(b"x-c", b"1"))))
    assert isinstance(verdict, Answer)
    assert (verdict.reply.status, verdict.reply.details) == (403, "ext_authz_denied")
    assert verdict.fields == ((b"x-c", b"1"),)


@pytest.mark.parametrize(
    "rest",
    [b"\x12\xff", message(2, b"\x0a\xff"), message(2, b"\x12\x02ab"), message(4, b"\x0a\xff"), b"\x1a\x05ab"],
    ids=["cut off", "no status", "no field", "no metadata", "cut text"],
)
def test_who_is_refused_in_a_broken_message_is_refused(rest: bytes) -> None:
    verdict = rpc(DENIED, rest)
    assert isinstance(verdict, Answer)
    assert (verdict.reply.status, verdict.reply.details) == (403, "ext_authz_denied")


OPEN = ExtAuthzFilter(grpc=GrpcService("judge"), failure_mode_allow=True)


@pytest.mark.parametrize(("said", "refused"), [(DENIED, True), (message(1, number(1, 0)), False), (b"", False)])
def test_an_answer_that_is_not_whole_says_no_or_nothing(said: bytes, refused: bool) -> None:
    body = b"\0" + (2000).to_bytes(4, "big") + said + b"\x1a\xff"
    verdict = ExtAuthz(OPEN, Counters("http.test")).on_told(Told(200, [], body, [], whole=False), head(), None, ACCESS)
    assert isinstance(verdict, Answer) is refused


@pytest.mark.parametrize(
    ("status", "whole", "answered"),
    [
        (200, False, None), (500, True, None), (599, False, None), (403, True, 403), (401, False, 401), (99, True, 403),
        (0, False, 403), (101, True, 403), (199, True, 403), (201, True, 201), (600, True, 403), (1000, False, 403),
    ],
)  # fmt: skip
def test_whom_a_server_of_http_does_not_answer_with_200_or_a_failure_is_refused(
    status: int, whole: bool, answered: int | None
) -> None:
    said = Told(status, [], b"no", [], whole=whole)
    verdict = asking(failure_mode_allow=True).on_told(said, head(), None, ACCESS)
    if answered is None:
        assert verdict is None
    else:
        assert isinstance(verdict, Answer)
        assert (verdict.reply.status, verdict.reply.body) == (answered, b"no" if whole else b"")


@pytest.mark.parametrize("patterns", [EVERYTHING, (StringMatch(StringMatchKind.PREFIX, "t"),)])
def test_a_question_has_nothing_of_the_connection_that_the_request_came_by(patterns: tuple[StringMatch, ...]) -> None:
    lines = [
        "transfer-encoding: chunked",
        "te: trailers",
        "trailer: x-a",
        "connection: te, upgrade",
        "upgrade: websocket",
    ]
    lines += [
        "keep-alive: timeout=5",
        "proxy-connection: close",
        "x-envoy-retry-on: 5xx",
        "x-envoy-auth-partial-body: true",
    ]
    ask = asking(allowed_headers=patterns).on_request(head("/a", *lines), None, lambda: 0.0, ACCESS)
    assert isinstance(ask, Ask)
    assert [(field.name, field.value) for field in ask.question.fields] == [
        (b"content-length", b"0"),
        (b"te", b"trailers"),
        (b"trailer", b"x-a"),
    ]


@pytest.mark.parametrize("name", [b"content-length", b"Transfer-Encoding", b"connection", b":status", b"upgrade"])
def test_nor_does_it_decide_how_an_answer_is_framed(name: bytes) -> None:
    denied = rpc(DENIED, message(2, message(2, option(name, b"17")) + message(2, option(b"x-a", b"1"))))
    assert isinstance(denied, Answer)
    assert denied.fields == ((b"x-a", b"1"),)
    assert rpc(message(3, message(6, option(name, b"17")))) is None


def test_an_empty_answer_allows() -> None:
    filter_ = ExtAuthz(RPC, Counters("http.test"))
    assert isinstance(filter_.on_request(head(), None, lambda: 0.0, ACCESS), Ask)
    assert not isinstance(filter_.on_told(Told(200, [], b"\0\0\0\0\0", []), head(), None, ACCESS), Answer | Passed)

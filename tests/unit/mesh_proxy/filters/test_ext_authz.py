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


@pytest.mark.parametrize("code", [1, 101, 199, 600, 1000, 70_000, 2**40])
def test_a_status_that_is_none_is_a_failure(code: int) -> None:
    verdict = rpc(DENIED, message(2, message(1, number(1, code))))
    assert isinstance(verdict, Answer)
    assert (verdict.reply.status, verdict.reply.details) == (403, "ext_authz_error")


@pytest.mark.parametrize(
    ("name", "value"),
    [(b"x-a", b"1\r\nx-b: 2"), (b"x-a\r\nx-b", b"1"), (b"x-a", b"\0"), (b"", b"1"), (b"x a", b"1"), (b"x-a: 1", b"2")],
)
@pytest.mark.parametrize("denied", [True, False])
def test_a_field_that_would_be_several_is_a_failure(name: bytes, value: bytes, denied: bool) -> None:
    told = message(2, message(2, option(name, value))) if denied else message(3, message(6, option(name, value)))
    verdict = rpc(DENIED if denied else b"", told)
    assert isinstance(verdict, Answer)
    assert verdict.reply.details == "ext_authz_error"


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

"""What servers may say of requests, and what they may not: held against Envoy elsewhere, here is where ours is stricter."""

import pytest

from mesh_api.config import AuthorizationServer, ExtAuthzFilter, GrpcService, StringMatch, StringMatchKind
from mesh_proxy.authorization import Access
from mesh_proxy.filters import Answer, Ask, Passed, Told
from mesh_proxy.filters.ext_authz import ExtAuthz
from mesh_proxy.protocol.http1 import Head, field_of
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


def test_an_empty_answer_allows() -> None:
    filter_ = ExtAuthz(RPC, Counters("http.test"))
    assert isinstance(filter_.on_request(head(), None, lambda: 0.0, ACCESS), Ask)
    assert not isinstance(filter_.on_told(Told(200, [], b"\0\0\0\0\0", []), head(), None, ACCESS), Answer | Passed)

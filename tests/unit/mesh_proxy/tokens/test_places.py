"""Where tokens are found, and what a request is like without them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_api.config import JwtHeader, JwtProvider
from mesh_proxy.protocol.http1 import Head
from mesh_proxy.tokens.places import Places
from tests.unit.mesh_proxy.making import head

USUAL = JwtProvider("usual", "a")
OWN = JwtProvider(
    "own", "b", from_headers=(JwtHeader("X-Token"), JwtHeader("x-b", "B ")), from_params=("t",), from_cookies=("c",)
)


def request(target: str = "/", *lines: str) -> Head:
    made = head(target, *lines)
    made.path, _, made.query = made.target.partition(b"?")
    return made


@pytest.mark.parametrize(
    ("made", "texts"),
    [
        (request(), []),
        (request("/", "Authorization: Bearer a.b.c"), [b"a.b.c"]),
        (request("/", "Authorization: bearer a.b.c"), []),
        (request("/", "Authorization: Basic x, Bearer  a.b.c"), [b"a.b.c"]),
        (request("/", "Authorization: Bearer a", "Authorization: Bearer b"), [b"a,Bearer b"]),
        (request("/", "Authorization: Bearer !"), [b"Bearer !"]),
        (request("/", "Authorization: Bearer a.b.c", "Connection: authorization"), []),
        (request("/?access_token=a%2Eb&access_token=c"), [b"a.b"]),
        (request("/?access%5ftoken=a"), [b"a"]),
        (request("/?access_token"), [b""]),
        (request("/?access_token=a", "Authorization: Bearer b"), [b"b", b"a"]),
    ],
)
def test_usual_places(made: Head, texts: list[bytes]) -> None:
    assert [one.text for one in Places([USUAL]).find(made)] == texts


@pytest.mark.parametrize(
    ("made", "texts"),
    [
        (request("/?access_token=a", "Authorization: Bearer b"), []),
        (request("/?t=q", "x-token: a", "x-token: b", "x-b: B c", "cookie: c=d"), [b"c", b"a", b"b", b"q", b"d"]),
        (request("/", "x-token: a,b"), [b"a,b"]),
        (request("/", "x-token:"), [b""]),
        (request("/", 'cookie: x=y; c="d"; c=e'), [b"d"]),
        (request("/", "cookie: x=y", "cookie: c=d"), [b"d"]),
        (request("/", "cookie: c"), []),
    ],
)
def test_own_places(made: Head, texts: list[bytes]) -> None:
    assert [one.text for one in Places([OWN]).find(made)] == texts


def test_whose_tokens_may_be_there() -> None:
    (found,) = Places([USUAL, OWN]).find(request("/", "Authorization: Bearer a"))
    assert (found.place.takes("a"), found.place.takes("b")) == (True, False)
    (found,) = Places([JwtProvider("any"), USUAL]).find(request("/", "Authorization: Bearer a"))
    assert found.place.takes("whoever")


def test_a_token_is_taken_out() -> None:
    made = request("/a?x=1&t=tok&y=%20&t=more", "x-token: tok", "x-b: B tok", "cookie: c=tok")
    for one in Places([OWN]).find(made):
        one.place.clear(made)
    assert (made.target, made.query) == (b"/a?x=1&y=%20", b"x=1&y=%20")
    assert [field.name for field in made.fields] == [b"host", b"cookie"]
    only = request("/a?access_token=tok")
    for one in Places([USUAL]).find(only):
        one.place.clear(only)
    assert (only.target, only.query) == (b"/a", b"")


@given(st.lists(st.sampled_from([b"t=1", b"x=2", b"", b"t", b"%74=3", b"tt=4", b"=", b"&"]), max_size=6))
def test_no_token_is_left_behind(parts: list[bytes]) -> None:
    made = request("/p?" + b"&".join(parts).decode())
    places = Places([OWN])
    for one in places.find(made):
        one.place.clear(made)
    assert places.find(made) == []

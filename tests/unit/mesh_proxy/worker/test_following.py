"""Which redirects of hosts are followed, and what becomes of the request's head."""

from typing import Any

import pytest

from mesh_api.config.routes import InternalRedirects
from mesh_proxy.protocol.http1 import Head
from mesh_proxy.routing.table import CompiledRoute, RouteTable
from mesh_proxy.worker import following
from mesh_proxy.worker.following import Steps, follow, rewrite
from tests.unit.mesh_proxy.making import answer, dice, head, route, table

ROUTES = (route("/a", name="a"), route("/b", name="b"))


def request(line: str = "/a/x?y", **fields: Any) -> Head:
    made = head(line, **fields)
    made.scheme = b"http"
    made.path, _, made.query = made.target.partition(b"?")
    return made


def followed(
    location: str, made: Head, routes: RouteTable, steps: Steps | None = None, status: int = 302, **policy: Any
) -> CompiledRoute | str:
    came_by = routes.host(b"h")
    assert came_by is not None
    reply = answer(f"location: {location}", status=status)
    return follow(made, reply, came_by.routes[0], InternalRedirects(**policy), routes, steps or Steps(), dice())


@pytest.mark.parametrize(
    ("location", "policy", "why"),
    [
        ("", {}, following.NOWHERE),
        ("/b", {}, following.BAD_LOCATION),
        ("b", {}, following.BAD_LOCATION),
        ("http://", {}, following.BAD_LOCATION),
        ("http://h/b#x", {}, following.BAD_LOCATION),
        ("http://me@h/b", {}, following.BAD_LOCATION),
        ("ftp://h/b", {"cross_scheme": True}, following.UNSAFE_SCHEME),
        ("https://h/b", {}, following.UNSAFE_SCHEME),
        ("https://h/b", {"cross_scheme": True, "safe_cross_scheme": True}, following.PREDICATE),
        ("http://h/c", {}, following.NO_ROUTE),
        ("http://h/b", {"most": 0}, following.TOO_MANY),
        ("http://h/b", {"allowed_routes": ("a",)}, following.PREDICATE),
    ],
)
def test_what_is_not_followed_leaves_the_request_as_it_was(location: str, policy: dict[str, Any], why: str) -> None:
    made = request()
    assert followed(location, made, table(*ROUTES), **policy) == why
    assert (made.scheme, made.host, made.target, made.path, made.query) == (b"http", b"h", b"/a/x?y", b"/a/x", b"y")


@pytest.mark.parametrize(
    ("location", "policy", "host", "target"),
    [
        ("http://h/b?z", {}, b"h", b"/b?z"),
        ("HTTP://other:81/b", {}, b"other:81", b"/b"),
        ("https://h/b", {"cross_scheme": True}, b"h", b"/b"),
        ("http://h/b", {"allowed_routes": ("b",)}, b"h", b"/b"),
    ],
)
def test_what_is_followed_is_a_request_for_the_other_place(
    location: str, policy: dict[str, Any], host: bytes, target: bytes
) -> None:
    made = request()
    found = followed(location, made, table(*ROUTES), **policy)
    assert isinstance(found, CompiledRoute)
    assert (found.config.name, made.host, made.target) == ("b", host, target)


def test_a_way_that_was_gone_is_not_gone_again() -> None:
    made, routes, steps = request(), table(*ROUTES), Steps()
    policy = {"most": 9, "previous_routes": True}
    assert isinstance(followed("http://h/b", made, routes, steps, **policy), CompiledRoute)
    assert followed("http://h/b", made, routes, steps, **policy) == following.PREDICATE
    assert steps.number == 1


@pytest.mark.parametrize(
    ("status", "method", "then"), [(303, "POST", b"GET"), (303, "HEAD", b"HEAD"), (307, "POST", b"POST")]
)
def test_see_other_is_asked_with_get(status: int, method: str, then: bytes) -> None:
    made = request(method=method)
    assert isinstance(followed("http://h/b", made, table(*ROUTES), status=status), CompiledRoute)
    assert made.method == then


def test_the_head_says_where_it_was_and_what_it_heard() -> None:
    made = head("/a", "x-a: mine", "x-b: mine", "content-length: 3")
    rewrite(made, answer("x-a: theirs"), InternalRedirects(copied_headers=("X-A", "x-b")), b"http://h/a", True)
    assert made.get(b"x-envoy-original-url") == b"http://h/a"
    assert (made.get(b"x-a"), made.get(b"x-b"), made.get(b"content-length"), made.length) == (b"theirs", None, None, -1)

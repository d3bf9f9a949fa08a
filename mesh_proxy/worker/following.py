"""Redirects of hosts that are followed here and not by the client (Envoy's ``InternalRedirectPolicy``): what is decided.

Pure, as :mod:`mesh_proxy.worker.deciding` beside it. A request that follows one is a new request in every respect but for
whose it is; its head is the same object, with another URL.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from mesh_api.config.routes import InternalRedirects
from mesh_proxy.filters import Answer
from mesh_proxy.protocol.http1 import Head, field_of
from mesh_proxy.routing.table import CompiledRoute, RouteTable
from mesh_proxy.telemetry.record import Record
from mesh_proxy.worker.deciding import find_route

NOWHERE: Final = "nowhere"
BAD_LOCATION: Final = "bad_location"
TOO_MANY: Final = "too_many_redirects"
UNSAFE_SCHEME: Final = "unsafe_scheme"
NO_ROUTE: Final = "no_route"
PREDICATE: Final = "predicate"
"""Why a redirect is passed on to the client, as Envoy counts it (it does not count the first)."""

_SCHEMES: Final = (b"http", b"https")


class Place(NamedTuple):
    """The URL of a request, in its parts."""

    scheme: bytes
    host: bytes
    target: bytes
    method: bytes


class Steps:
    """The redirects that one request has followed: how many, and which routes they led between."""

    __slots__ = ("led", "number")

    def __init__(self) -> None:
        self.number: int = 0
        self.led: set[tuple[bytes, bytes]] = set()


def follow(
    head: Head,
    answer: Head,
    route: CompiledRoute,
    policy: InternalRedirects,
    table: RouteTable,
    steps: Steps,
    random: Callable[[], float],
) -> CompiledRoute | str:
    """The route that the request takes now, whose head says where it goes; or why the redirect is not followed, and then the
    head is as it was."""
    location = answer.get(b"location")
    if not location:
        return NOWHERE
    place = _place(location, head, answer.status)
    if place is None:
        return BAD_LOCATION
    crosses = place.scheme != head.scheme
    if place.scheme not in _SCHEMES or (crosses and not policy.cross_scheme):
        return UNSAFE_SCHEME
    if steps.number >= policy.most:
        return TOO_MANY
    before = Place(head.scheme, head.host, head.target, head.method)
    _move(head, place)
    found = find_route(head, table, random)
    why = NO_ROUTE if isinstance(found, Answer) else _objection(found, route, policy, steps, crosses, place)
    if why or isinstance(found, Answer):
        _move(head, before)
        return why
    steps.number += 1
    return found


def _objection(
    found: CompiledRoute, route: CompiledRoute, policy: InternalRedirects, steps: Steps, crosses: bool, place: Place
) -> str:
    """What the policy has against a route; empty: nothing."""
    if policy.allowed_routes is not None and found.config.name not in policy.allowed_routes:
        return PREDICATE
    if policy.safe_cross_scheme and crosses and place.scheme == b"https":
        return PREDICATE
    if policy.previous_routes:
        step = (route.name, found.name)
        if step in steps.led:
            return PREDICATE
        steps.led.add(step)
    return ""


def _place(location: bytes, head: Head, status: int) -> Place | None:
    """Where a ``Location`` leads; only whole URLs are followed (Envoy)."""
    scheme, mark, rest = location.partition(b"://")
    host, slash, path = rest.partition(b"/")
    host, question, query = host.partition(b"?")
    if not mark or not scheme.isalpha() or not host or b"#" in location or b" " in location or b"@" in host:
        return None
    target = slash + path if slash else b"/" + question + query
    method = b"GET" if status == 303 and head.method not in (b"GET", b"HEAD") else head.method
    return Place(scheme.lower(), host, target, method)


def _move(head: Head, place: Place) -> None:
    head.scheme, head.host, head.target, head.method = place
    head.path, _, head.query = head.target.partition(b"?")


def rewrite(head: Head, answer: Head, policy: InternalRedirects, before: bytes, bodiless: bool) -> None:
    """The head as it is sent to the other place: ``before`` is the URL that it had, ``bodiless`` whether its body is left."""
    head.drop(b"x-envoy-original-url")
    head.add(field_of(b"x-envoy-original-url", before))
    if bodiless:
        head.drop(b"content-length", b"transfer-encoding")
        head.length, head.chunked = -1, False
    for name in policy.copied_headers:
        known = name.lower().encode()
        value = answer.get(known)
        head.drop(known)
        if value is not None:
            head.add(field_of(known, value))


def continued(before: Record, route: CompiledRoute, head: Head, body: list[bytes], now: float, wall: float) -> Record:
    """What is known of the request that follows a redirect; a body that is sent once more is received once more (Envoy)."""
    record = Record(now, wall)
    record.protocol, record.request, record.path = before.protocol, head, head.target
    record.original_path, record.route, record.heard = before.original_path, route.name, now
    record.bytes_received = before.bytes_received + sum([len(part) for part in body])
    return record

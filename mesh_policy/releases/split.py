"""How traffic is divided between two versions so that a user stays where he is.

The cookie of a release holds the number of an interval: the steps' weights cut 100 percent into intervals, a user is put
into one of them once, and those that lie within the current weight go to the candidate. As the weight grows from step to
step, a user moves once at most; and the share of users is the weight, whatever they did before. Plain kinds of Istio do it.

A header is hashed instead: see :data:`STICKY_HEADER`.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from mesh_policy.durations import parse_duration
from mesh_policy.matchers import StringMatch
from mesh_policy.networking.destinations import Destination
from mesh_policy.networking.headers import HeaderOperations, Headers
from mesh_policy.networking.http_route import HttpMatch, HttpRoute, HttpRouteDestination
from mesh_policy.releases.terms import Cookie, Header

STICKY_HEADER = "meshwright.io/sticky-header"
"""Annotation of a VirtualService: the header whose hash chooses among the weighted destinations of its routes, so that equal
values go the same way and the first destination keeps all that it has while its weight grows. An extension of ours over
Envoy's ``use_hash_policy``; under Istio it is passed over, and the split is by chance."""


@dataclass(frozen=True, slots=True)
class Split:
    """``weight`` percent of the traffic of ``host`` to ``candidate``, the rest to ``stable``.

    ``bounds`` are all weights that the release ever has, ``sticky`` is what keeps users.
    """

    host: str
    stable: str
    candidate: str
    weight: int
    bounds: tuple[int, ...] = ()
    sticky: Cookie | Header | None = None

    @property
    def intervals(self) -> tuple[tuple[int, int], ...]:
        """The intervals from a bound to the next, ``(above, up to)``, as percent."""
        ends = sorted({*self.bounds, self.weight, 100} - {0})
        return tuple(zip([0, *ends[:-1]], ends, strict=True))

    @property
    def mark(self) -> str:
        """What the cookies of this release end in: numbers of another one mean something else, and count as none."""
        text = repr((self.host, self.stable, self.candidate, sorted({*self.bounds, 100} - {0})))
        return hashlib.sha256(text.encode()).hexdigest()[:6]

    def routes(self, match: HttpMatch | None, shape: HttpRoute) -> list[HttpRoute]:
        """Rules for what ``match`` says, each with everything else of ``shape``."""
        if isinstance(self.sticky, Cookie) and 0 < self.weight < 100:
            return self._by_cookie(self.sticky, match or HttpMatch(), shape)
        return [ruled(shape, match, *self._by_chance())]

    def _by_chance(self) -> tuple[HttpRouteDestination, ...]:
        shares = [(self.stable, 100 - self.weight), (self.candidate, self.weight)]
        if isinstance(self.sticky, Header):
            shares.reverse()  # hashes below the weight are the candidate's, and stay so when it grows
        return tuple(sent_to(self.host, version, weight) for version, weight in shares)

    def _by_cookie(self, cookie: Cookie, match: HttpMatch, shape: HttpRoute) -> list[HttpRoute]:
        numbers = range(len(self.intervals))
        within = [number for number in numbers if self.intervals[number][1] <= self.weight]
        beyond = [number for number in numbers if number not in within]
        known = [(self.candidate, within), (self.stable, beyond)]
        return [
            *(
                ruled(shape, self._carries(match, cookie, those), sent_to(self.host, version))
                for version, those in known
                if those
            ),
            ruled(shape, match if match.to_yaml_value() else None, *self._newcomers(cookie, within)),
        ]

    def _carries(self, match: HttpMatch, cookie: Cookie, numbers: Sequence[int]) -> HttpMatch:
        """The match, for requests with one of these numbers in the cookie."""
        values = "|".join(map(str, numbers))
        pattern = cookie_pattern(cookie.name, f"(?:{values})\\.{self.mark}")
        return match.model_copy(update={"headers": {**(match.headers or {}), "cookie": StringMatch(regex=pattern)}})

    def _newcomers(self, cookie: Cookie, within: Sequence[int]) -> tuple[HttpRouteDestination, ...]:
        """One destination for each interval, as large as it is, which hands its number out."""
        return tuple(
            sent_to(
                self.host,
                self.candidate if number in within else self.stable,
                end - start,
                Headers(response=HeaderOperations(add={"set-cookie": self._set_cookie(cookie, number)})),
            )
            for number, (start, end) in enumerate(self.intervals)
        )

    def _set_cookie(self, cookie: Cookie, number: int) -> str:
        age = "" if cookie.ttl is None else f"; Max-Age={int(parse_duration(cookie.ttl).total_seconds())}"
        path = cookie.path.replace("%", "%%")
        return f"{cookie.name.replace('%', '%%')}={number}.{self.mark}; Path={path}{age}; HttpOnly; SameSite=Lax"


def cookie_pattern(name: str, value: str) -> str:
    """The expression (RE2) for a ``Cookie`` field that holds the cookie; ``value`` is an expression itself."""
    return f"(?:.*;\\s*)?{re.escape(name)}={value}(?:\\s*;.*)?"


def sent_to(
    host: str, version: str | None, weight: int | None = None, headers: Headers | None = None
) -> HttpRouteDestination:
    """A version of a service as a destination; ``None``: whichever."""
    return HttpRouteDestination(destination=Destination(host=host, subset=version), weight=weight, headers=headers)


def ruled(shape: HttpRoute, match: HttpMatch | None, *route: HttpRouteDestination) -> HttpRoute:
    """A rule that holds for ``match`` (``None``: for everything) and sends there, with everything else of ``shape``."""
    return shape.model_copy(update={"match": None if match is None else (match,), "route": route})

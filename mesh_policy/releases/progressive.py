"""Releases: a new version of a service gets traffic, and is taken back when its measurements are bad.

Each is a statement like the others, and says what it asks for at a weight of its candidate. Which weight that is, the state
machine decides (:mod:`mesh_policy.releases.machine`).
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from mesh_policy.base import Name, Percent, Whole
from mesh_policy.durations import Span
from mesh_policy.matchers import StringMatch
from mesh_policy.networking import http_route
from mesh_policy.networking.answers import PercentValue
from mesh_policy.networking.destinations import Destination
from mesh_policy.networking.http_route import HttpMatch, HttpRoute
from mesh_policy.releases.split import STICKY_HEADER, Split, cookie_pattern, ruled, sent_to
from mesh_policy.releases.statements import Statement
from mesh_policy.releases.terms import AnyLimit, Cookie, Header, Key, Latency, Limit, Weight


def _several(value: object) -> object:
    """One limit may be written without brackets."""
    return (value,) if isinstance(value, Limit | dict) else value


Watched = Annotated[tuple[AnyLimit, ...], BeforeValidator(_several)]


class Versions(Statement):
    """What divides a service's traffic between two of its versions, which are values of the label ``version``."""

    NAMES: ClassVar[tuple[str, str]] = ("stable", "candidate")
    """The fields that name the version which everybody has, and the other."""

    @property
    def versions(self) -> tuple[str, str]:
        """The version which everybody has, and the other."""
        first, second = self.NAMES
        return str(getattr(self, first)), str(getattr(self, second))

    @model_validator(mode="after")
    def _differ(self) -> Self:
        one, other = self.versions
        if one == other:
            raise ValueError(f"{' and '.join(self.NAMES)} are both {one!r}; two versions are needed")
        return self

    def routes(self, match: HttpMatch | None, shape: HttpRoute) -> list[HttpRoute]:
        """Rules for what ``match`` says, each with everything else of ``shape``."""
        raise NotImplementedError

    @property
    def annotations(self) -> dict[str, str]:
        """What the VirtualService carries beside its rules."""
        return {}


class Release(Versions):
    """A division that goes through :attr:`stages` to its end, watched by limits."""

    abort: Watched = ()
    """What ends the release when the candidate exceeds it; one limit or several. Without any nobody watches."""
    weight: Percent | None = None
    """The candidate's share now; the state machine writes it."""

    @property
    def stages(self) -> tuple[Weight, ...]:
        """Its steps, in order."""
        raise NotImplementedError

    @property
    def final(self) -> int:
        """The weight at its good end."""
        return 100

    def at(self, weight: int) -> Self:
        """The same release at a weight of the candidate."""
        return self.model_copy(update={"weight": weight})

    @property
    def split(self) -> Split:
        """The division at the present weight; before it is started nobody has the candidate."""
        one, other = self.versions
        return Split(self.host, one, other, self.weight or 0)

    def routes(self, match: HttpMatch | None, shape: HttpRoute) -> list[HttpRoute]:
        """See :class:`Versions`."""
        return self.split.routes(match, shape)


class CanaryRelease(Release):
    """``weight`` percent of the requests go to the version ``candidate``, the others to ``stable``; or step by step.

    Ten lines put half of the traffic on a new version::

        CanaryRelease(service="book-store", stable="v1", candidate="v2", weight=50)

    With ``steps`` the control plane moves the weight, and takes everything back when ``abort`` says so::

        CanaryRelease(service="book-store", stable="v1", candidate="v2",
                      steps=[Weight(5, hold="2m"), Weight(50, hold="5m")],
                      abort=ErrorRate("> 10%", window="5s"), sticky=Cookie("release"))
    """

    stable: Name
    """The version that everybody has."""
    candidate: Name
    """The version that is released."""
    steps: tuple[Weight, ...] = ()
    """Weights of the candidate, growing; after the last one's hold all traffic is the candidate's."""
    sticky: Key | None = None
    """What keeps a user on one version while weights move, so that he moves once at most; unset: chance decides anew."""

    @model_validator(mode="after")
    def _grow(self) -> Self:
        percents = [step.percent for step in self.steps]
        if self.weight is None and not percents:
            raise ValueError("weight or steps is required; write weight=10, or steps=[Weight(10), ...]")
        for before, after in pairwise(percents):
            if after <= before:
                raise ValueError(f"steps: {after} % after {before} % does not grow; a user would move back")
        if self.sticky is not None and self.sticky.value is not None:
            raise ValueError("sticky: keeps every user where he is and takes no value; ABTest chooses by one")
        return self

    @property
    def stages(self) -> tuple[Weight, ...]:
        """See :class:`Release`."""
        return self.steps

    @property
    def split(self) -> Split:
        """See :class:`Release`."""
        bounds = tuple(step.percent for step in self.steps)
        return Split(self.host, self.stable, self.candidate, self.weight or 0, bounds, self.sticky)

    @property
    def annotations(self) -> dict[str, str]:
        """See :class:`Versions`."""
        sticks = isinstance(self.sticky, Header) and 0 < self.split.weight < 100
        return {STICKY_HEADER: self.sticky.name} if sticks and self.sticky is not None else {}


class BlueGreen(Release):
    """All traffic is switched from ``blue`` to ``green`` at once, and back when a limit is exceeded while ``hold`` lasts."""

    NAMES: ClassVar[tuple[str, str]] = ("blue", "green")

    blue: Name
    """The version that everybody has."""
    green: Name
    """The version that is released."""
    hold: Span = Field(default="5m", validate_default=True)
    """How long the way back is kept open and the limits are watched; default 5m."""

    @property
    def stages(self) -> tuple[Weight, ...]:
        """See :class:`Release`."""
        return (Weight(100, hold=self.hold),)


class Mirror(Release):
    """Copies of ``percent`` of the requests go to ``candidate``; whoever asks gets the answer of ``stable`` alone.

    Nobody waits for the copies' answers: their errors are counted, their times are not. At its end nothing is copied.
    """

    stable: Name
    """The version that everybody has."""
    candidate: Name
    """The version that gets copies."""
    percent: Annotated[Whole, Field(ge=1, le=100)] = 100
    """Share of the requests that are copied; default all."""
    hold: Span = Field(default="5m", validate_default=True)
    """How long it lasts; default 5m."""

    @model_validator(mode="after")
    def _measurable(self) -> Self:
        if any(isinstance(limit, Latency) for limit in self.abort):
            raise ValueError("abort: the times of copies are not measured; use ErrorRate, or a CanaryRelease")
        return self

    @property
    def stages(self) -> tuple[Weight, ...]:
        """See :class:`Release`."""
        return (Weight(self.percent, hold=self.hold),)

    @property
    def final(self) -> int:
        """See :class:`Release`."""
        return 0

    def routes(self, match: HttpMatch | None, shape: HttpRoute) -> list[HttpRoute]:
        """See :class:`Versions`."""
        rule = ruled(shape, match, sent_to(self.host, self.stable))
        if not self.weight:
            return [rule]
        copies = http_route.Mirror(
            destination=Destination(host=self.host, subset=self.candidate),
            percentage=PercentValue(value=float(self.weight)),
        )
        return [rule.model_copy(update={"mirrors": (copies,)})]


class ABTest(Versions):
    """Requests that ``by`` chooses go to ``b``, all others to ``a``: a header or a cookie with that very value."""

    NAMES: ClassVar[tuple[str, str]] = ("a", "b")

    a: Name
    """The version of those who are not chosen."""
    b: Name
    """The version of those who are."""
    by: Key
    """What chooses: ``Header("x-group", "b")`` or ``Cookie("group", "b")``."""

    @field_validator("by")
    @classmethod
    def _chooses(cls, value: Any) -> Any:
        if value.value is None:
            raise ValueError(f'by: a value is required, as in {type(value).__name__}({value.name!r}, "b")')
        if isinstance(value, Cookie) and (value.ttl is not None or value.path != "/"):
            raise ValueError("by: the test reads the cookie and sets none; leave ttl and path out")
        return value

    def routes(self, match: HttpMatch | None, shape: HttpRoute) -> list[HttpRoute]:
        """See :class:`Versions`."""
        own = match or HttpMatch()
        chosen = own.model_copy(update={"headers": {**(own.headers or {}), **self._condition()}})
        return [
            ruled(shape, chosen, sent_to(self.host, self.b)),
            ruled(shape, match, sent_to(self.host, self.a)),
        ]

    def _condition(self) -> dict[str, Any]:
        value = str(self.by.value)
        if isinstance(self.by, Header):
            return {self.by.name: StringMatch(exact=value)}
        return {"cookie": StringMatch(regex=cookie_pattern(self.by.name, re.escape(value)))}


def versions_of(statements: Sequence[Statement]) -> list[Versions]:
    """The statements that divide a service's traffic."""
    return [statement for statement in statements if isinstance(statement, Versions)]

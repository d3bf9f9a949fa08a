"""The words of a release: steps, limits that end it, and what keeps a user on one version."""

import re
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from mesh_policy.base import Number, Whole
from mesh_policy.durations import Span, format_duration, parse_duration
from mesh_policy.networking.headers import HeaderName

_SHARE = re.compile(r">\s*([0-9]+(?:\.[0-9]+)?)\s*%")
_TIME = re.compile(r">\s*([0-9].*)")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Term(BaseModel):
    """A part of a release: frozen, and strict about fields that there are not."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)


class Weight(Term):
    """A step: the candidate gets ``percent`` of the traffic for ``hold``, counted from when every proxy has taken it."""

    percent: Annotated[Whole, Field(ge=1, le=100)]
    """Share of the candidate, from 1 to 100."""
    hold: Span = Field(default="1m", validate_default=True)
    """How long the step lasts at least, with limits watched; default 1m."""

    def __init__(self, percent: int, hold: timedelta | str = "1m") -> None:
        super().__init__(percent=percent, hold=hold)


class Limit(Term):
    """What may not be exceeded by the candidate. It is looked at from the first request of a step on."""

    kind: str
    limit: str
    """The bound as text, beginning with ``>``."""
    window: Span = Field(default="30s", validate_default=True)
    """Time that is looked back on; default 30s."""
    min_requests: Annotated[Whole, Field(ge=1)] = 10
    """Requests in the window below which it says nothing: it neither aborts, nor lets a step end; default 10."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)

    @field_validator("window")
    @classmethod
    def _lasts(cls, value: timedelta) -> timedelta:
        if parse_duration(value) < timedelta(seconds=1):
            raise ValueError("a window of less than 1s holds hardly a measurement; write for example 10s")
        return value

    @property
    def bound(self) -> float:
        """The number that must not be exceeded, in the unit of :meth:`shown`."""
        raise NotImplementedError

    def shown(self, value: float) -> str:
        """A value with its unit."""
        raise NotImplementedError

    def __or__(self, other: "Limit") -> "Limits":
        """Either of them ends the release: ``ErrorRate("> 5%") | Latency("> 1s")``."""
        return Limits((self,)) | other

    def __str__(self) -> str:
        return f"{self.kind} {self.limit} within {format_duration(parse_duration(self.window))}"


class Limits(tuple[Limit, ...]):
    """Limits of which each ends the release; ``|`` adds one."""

    __slots__ = ()

    def __or__(self, other: Limit) -> "Limits":
        """With one more."""
        return Limits((*self, other))


class ErrorRate(Limit):
    """Share of the candidate's answers that are 5xx, those that the mesh gave in its place among them."""

    kind: Literal["error rate"] = "error rate"

    def __init__(self, limit: str, window: timedelta | str = "30s", min_requests: int = 10, **rest: str) -> None:
        super().__init__(limit=limit, window=window, min_requests=min_requests, **rest)

    @field_validator("limit")
    @classmethod
    def _share(cls, value: str) -> str:
        found = _SHARE.fullmatch(value.strip())
        if found is None or not float(found[1]) < 100:
            raise ValueError(f'{value!r} is no limit for a share; write for example "> 5%", below 100')
        return value.strip()

    @property
    def bound(self) -> float:
        """Percent."""
        return float(self.limit.strip("> %"))

    def shown(self, value: float) -> str:
        """``12.5 %``."""
        return f"{value:.4g} %"


class Latency(Limit):
    """Time of the candidate's answers at a quantile, as the client's proxy measures it."""

    kind: Literal["latency"] = "latency"
    quantile: Annotated[Number, Field(gt=0, lt=1)] = 0.95
    """Share of the answers that must be quicker; default 0.95."""

    def __init__(
        self,
        limit: str,
        window: timedelta | str = "30s",
        quantile: float = 0.95,
        min_requests: int = 10,
        **rest: str,
    ) -> None:
        fields = {"limit": limit, "window": window, "quantile": quantile, "min_requests": min_requests, **rest}
        super().__init__(**fields)

    @field_validator("limit")
    @classmethod
    def _time(cls, value: str) -> str:
        found = _TIME.fullmatch(value.strip())
        try:
            if found is None or not parse_duration(found[1].strip()):
                raise ValueError("no duration")
        except ValueError:
            raise ValueError(f'{value!r} is no limit for a time; write for example "> 500ms"') from None
        return value.strip()

    @property
    def bound(self) -> float:
        """Milliseconds."""
        return parse_duration(self.limit.strip("> ")).total_seconds() * 1000

    def shown(self, value: float) -> str:
        """``740 ms``."""
        return f"{value:.4g} ms"

    def __str__(self) -> str:
        return f"latency (p{self.quantile * 100:g}) {self.limit} within {format_duration(parse_duration(self.window))}"


AnyLimit = Annotated[ErrorRate | Latency, Field(discriminator="kind")]


def _cookie_name(value: str) -> str:
    if not _TOKEN.fullmatch(value):
        raise ValueError(f"{value!r} is no name of a cookie (RFC 6265, 4.1.1)")
    return value


class Cookie(Term):
    """A cookie. With ``value`` it chooses (A/B test); without, the proxy hands it out and it keeps a user on one version."""

    by: Literal["cookie"] = "cookie"
    name: Annotated[str, AfterValidator(_cookie_name)]
    """Its name."""
    value: str | None = None
    """What chooses the second version of an A/B test."""
    ttl: Span | None = None
    """How long the client keeps it; unset: until it is closed."""
    path: Annotated[str, Field(pattern=r"^/[ -:<-~]*$")] = "/"
    """Paths that it is sent for; default all."""

    def __init__(
        self,
        name: str,
        value: str | None = None,
        ttl: timedelta | str | None = None,
        path: str = "/",
        **rest: str,
    ) -> None:
        super().__init__(name=name, value=value, ttl=ttl, path=path, **rest)

    @field_validator("ttl")
    @classmethod
    def _lives(cls, value: timedelta | None) -> timedelta | None:
        if value is not None and parse_duration(value) < timedelta(seconds=1):
            raise ValueError("a cookie lives for whole seconds, at least one; without ttl it ends with the client")
        return value

    @field_validator("value")
    @classmethod
    def _plain(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]+", value):
            raise ValueError(f"{value!r} is no value of a cookie (RFC 6265, 4.1.1)")
        return value


class Header(Term):
    """A header of the request. With ``value`` it chooses (A/B test); without, its hash keeps a user on one version."""

    by: Literal["header"] = "header"
    name: HeaderName
    """Its name."""
    value: str | None = None
    """What chooses the second version of an A/B test."""

    def __init__(self, name: str, value: str | None = None, **rest: str) -> None:
        super().__init__(name=name.lower(), value=value, **rest)

    @model_validator(mode="after")
    def _a_real_one(self) -> Self:
        if not _TOKEN.fullmatch(self.name):
            raise ValueError(f"{self.name!r}: name a header that requests carry, as x-user-id")
        if self.name == "cookie":
            raise ValueError("'cookie' holds all cookies together; name the one that is meant by Cookie(...)")
        return self


Key = Annotated[Cookie | Header, Field(discriminator="by")]

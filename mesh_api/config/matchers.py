"""Matchers of strings, headers and query parameters (Envoy ``type.matcher.v3``, ``route.v3.HeaderMatcher``)."""

from dataclasses import dataclass
from enum import Enum


class StringMatchKind(Enum):
    """How :attr:`StringMatch.value` is compared. ``REGEX`` is RE2 and must match the whole string."""

    EXACT = "exact"
    PREFIX = "prefix"
    SUFFIX = "suffix"
    CONTAINS = "contains"
    REGEX = "regex"


@dataclass(frozen=True, slots=True)
class StringMatch:
    """One comparison. ``ignore_case`` has no effect on ``REGEX``, as in Envoy."""

    kind: StringMatchKind
    value: str
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class HeaderMatch:
    """A condition on one request header; case in ``name`` does not count, pseudo headers (``:method``) are
    allowed.

    ``match`` is ``None`` for a pure presence test (``present``: the expected presence). ``range_start`` and ``range_end``
    (half open) are set for a numeric test. ``invert`` negates the result. A missing header never matches, inverted or
    not present tests aside, unless ``treat_missing_as_empty`` makes it count as the empty string.
    """

    name: str
    match: StringMatch | None = None
    present: bool = True
    invert: bool = False
    treat_missing_as_empty: bool = False
    range_start: int | None = None
    range_end: int | None = None


@dataclass(frozen=True, slots=True)
class QueryParameterMatch:
    """A condition on one query parameter; ``match`` ``None`` asks for presence only (``present`` False: for absence)."""

    name: str
    match: StringMatch | None = None
    present: bool = True

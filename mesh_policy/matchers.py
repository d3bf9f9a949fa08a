"""Matches of strings: at most one of ``exact``, ``prefix``, ``regex`` (RE2, the whole string)."""

from typing import Annotated, Self

import re2
from pydantic import AfterValidator, model_validator

from mesh_policy.base import Model

LONGEST_REGEX = 1024
"""Bytes of an expression (Istio's limit)."""


def check_regex(pattern: str) -> str:
    """The pattern, when Istio takes it and RE2 compiles it; :class:`ValueError` that says why not otherwise."""
    if not pattern:
        raise ValueError("a regular expression must not be empty")
    if len(pattern.encode()) > LONGEST_REGEX:
        raise ValueError(f"a regular expression has at most {LONGEST_REGEX} bytes; write several matches")
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options=options)
    except re2.error as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
        raise ValueError(f"{pattern!r} is not a regular expression of RE2: {reason}") from None
    return pattern


def count_groups(pattern: str) -> int:
    """How many groups a valid pattern has."""
    return int(re2.compile(pattern).groups)


ANY_VALUE = "*"
"""No expression: Istio reads it as "any value", for headers that must be absent."""


class StringMatch(Model):
    """One way to compare. An empty match (``{}``) stands for "present" where the field allows it."""

    exact: str | None = None
    """The whole string, as it stands."""
    prefix: str | None = None
    """How the string begins."""
    regex: str | None = None
    """An expression of RE2 for the whole string, at most 1024 bytes."""

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        chosen = [name for name in ("exact", "prefix", "regex") if getattr(self, name) is not None]
        if len(chosen) > 1:
            raise ValueError(f"{' and '.join(chosen)} exclude each other; keep one")
        if self.regex is not None and self.regex != ANY_VALUE:
            check_regex(self.regex)
        return self

    @property
    def is_presence(self) -> bool:
        """Whether nothing is compared: the header or parameter only has to be there."""
        return self.exact is None and self.prefix is None and self.regex is None


def _is_expression(match: StringMatch) -> StringMatch:
    if match.regex is not None:
        check_regex(match.regex)
    return match


def _prefix_says_something(match: StringMatch) -> StringMatch:
    if match.prefix == "":
        raise ValueError("prefix must not be empty; leave the match out to match everything")
    return match


def _compares(match: StringMatch) -> StringMatch:
    if not (match.exact or match.prefix or match.regex):
        raise ValueError("one of exact, prefix and regex is required, and must not be empty")
    return match


PathMatch = Annotated[StringMatch, AfterValidator(_is_expression)]
"""A match of a path: an empty ``prefix``, as an empty match, holds for every path."""
TextMatch = Annotated[PathMatch, AfterValidator(_prefix_says_something)]
"""A match where an empty ``prefix`` would say nothing."""
AbsentMatch = Annotated[StringMatch, AfterValidator(_prefix_says_something)]
"""What a header must not be; besides an empty match, ``regex: "*"`` stands for any value."""
Compared = Annotated[PathMatch, AfterValidator(_compares)]
"""A match where "present" would say nothing."""

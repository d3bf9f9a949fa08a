"""Matches of strings: exactly one of ``exact``, ``prefix``, ``regex`` (RE2, the whole string)."""

from typing import Annotated, Self

import re2
from pydantic import AfterValidator, model_validator

from mesh_policy.base import Model


def check_regex(pattern: str) -> str:
    """The pattern, when RE2 compiles it; :class:`ValueError` that says why not otherwise."""
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


class StringMatch(Model):
    """One way to compare. An empty match (``{}``) stands for "present" where the field allows it."""

    exact: str | None = None
    prefix: str | None = None
    regex: str | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        chosen = [name for name in ("exact", "prefix", "regex") if getattr(self, name) is not None]
        if len(chosen) > 1:
            raise ValueError(f"{' and '.join(chosen)} exclude each other; keep one")
        if self.prefix == "":
            raise ValueError("prefix must not be empty; leave the match out to match everything")
        if self.regex is not None:
            check_regex(self.regex)
        return self

    @property
    def is_presence(self) -> bool:
        """Whether nothing is compared: the header or parameter only has to be there."""
        return self.exact is None and self.prefix is None and self.regex is None


def _compares(match: StringMatch) -> StringMatch:
    if match.is_presence:
        raise ValueError("one of exact, prefix and regex is required")
    return match


Compared = Annotated[StringMatch, AfterValidator(_compares)]
"""A match where "present" would say nothing."""

"""Conditions on paths, compiled: a class for each kind, since paths that were not seen before are tested by every route.

Raises :class:`~mesh_proxy.routing.matchers.MatcherError` for an expression that is none.
"""

import re
from typing import Final

from mesh_api.config import PathMatch, PathMatchKind
from mesh_proxy.routing.matchers import full_match

_BEGINNING: Final = re.compile(r"[-_/A-Za-z0-9]*")
_REPEATED: Final = ("?", "*", "+", "{")


class PathTest:
    """One condition."""

    __slots__ = ("_expected",)

    def __init__(self, expected: bytes) -> None:
        self._expected = expected

    def holds(self, path: bytes) -> bool:
        """Whether it holds of a path, which is normalised and without its query."""
        return path == self._expected


class _Prefix(PathTest):
    __slots__ = ()

    def holds(self, path: bytes) -> bool:
        return path.startswith(self._expected)


class _Below(PathTest):
    """A prefix of whole segments."""

    __slots__ = ("_below",)

    def __init__(self, expected: bytes) -> None:
        super().__init__(expected)
        self._below = expected + b"/"

    def holds(self, path: bytes) -> bool:
        return path.startswith(self._below) or path == self._expected


class _Expression(PathTest):
    """An expression of RE2 for the whole path; it is not asked of paths that do not begin as all do that it can be of."""

    __slots__ = ("_matches",)

    def __init__(self, pattern: str) -> None:
        super().__init__(beginning(pattern))
        self._matches = full_match(pattern)

    def holds(self, path: bytes) -> bool:
        return path.startswith(self._expected) and self._matches(path)


class _AnyCase(PathTest):
    __slots__ = ("_inner",)

    def __init__(self, inner: PathTest) -> None:
        super().__init__(b"")
        self._inner = inner

    def holds(self, path: bytes) -> bool:
        return self._inner.holds(path.lower())


def beginning(pattern: str) -> bytes:
    """What every text begins with that an expression matches as a whole, as far as that is plain to see."""
    found = _BEGINNING.match(pattern)
    if found is None or "|" in pattern:
        return b""
    literal = found[0]
    # What stands behind flags, as in `/(?i)?`, repeats what stands before them.
    if pattern[len(literal) : len(literal) + 1] in _REPEATED or pattern.startswith("(?", len(literal)):
        literal = literal[:-1]
    return literal.encode()


def path_test(match: PathMatch) -> PathTest:
    """The condition of a route."""
    if match.kind is PathMatchKind.REGEX:
        return _Expression(match.value)
    expected = match.value.encode()
    if not match.case_sensitive:
        return _AnyCase(_plain(match.kind, expected.lower()))
    return _plain(match.kind, expected)


def _plain(kind: PathMatchKind, expected: bytes) -> PathTest:
    if kind is PathMatchKind.EXACT or kind is PathMatchKind.CONNECT:
        return PathTest(expected)
    return _Prefix(expected) if kind is PathMatchKind.PREFIX else _Below(expected)

"""Matchers of strings, headers and query parameters, compiled once."""

import re
from collections.abc import Callable
from typing import Any, Final

import re2

from mesh_api.config import HeaderMatch, QueryParameterMatch, StringMatch, StringMatchKind
from mesh_proxy.protocol.http1 import Head

Test = Callable[[bytes], bool]
# Bounded: a number of 64 bits has no more digits, and Python refuses to read very long ones.
_WHOLE_NUMBER: Final = re.compile(rb"[+-]?[0-9]{1,19}\Z")


class MatcherError(ValueError):
    """A matcher that cannot be compiled."""


def compile_pattern(pattern: str) -> Any:
    """The expression, for bytes. Raises :class:`MatcherError`."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern.encode(), options=options)
    except re2.error as error:
        raise MatcherError(f"{pattern!r} is not a regular expression of RE2: {error}") from None


def full_match(pattern: str) -> Test:
    """Whether RE2 matches the whole value."""
    compiled = compile_pattern(pattern)
    return lambda value: compiled.fullmatch(value) is not None


def string_test(match: StringMatch) -> Test:
    """The comparison as a function of the value."""
    if match.kind is StringMatchKind.REGEX:
        return full_match(match.value)
    expected = match.value.encode()
    if match.ignore_case:
        inner = _plain_test(match.kind, expected.lower())
        return lambda value: inner(value.lower())
    return _plain_test(match.kind, expected)


def origin_test(match: StringMatch) -> Test:
    """The comparison of an ``Origin``; of exactly ``*`` every one is (Envoy)."""
    anything = match.kind is StringMatchKind.EXACT and match.value == "*"
    return (lambda value: True) if anything else string_test(match)


def _plain_test(kind: StringMatchKind, expected: bytes) -> Test:
    if kind is StringMatchKind.EXACT:
        return expected.__eq__
    if kind is StringMatchKind.PREFIX:
        return lambda value: value.startswith(expected)
    if kind is StringMatchKind.SUFFIX:
        return lambda value: value.endswith(expected)
    return lambda value: expected in value


class HeaderTest:
    """One condition on a request's head. Pseudo headers are ``:method``, ``:path``, ``:authority`` and ``:scheme``."""

    __slots__ = ("_invert", "_missing_as_empty", "_name", "_present", "_test")

    def __init__(self, match: HeaderMatch) -> None:
        self._name = match.name.lower().encode()
        self._invert = match.invert
        self._missing_as_empty = match.treat_missing_as_empty
        self._present = match.present
        self._test: Test | None = None
        if match.match is not None:
            self._test = string_test(match.match)
        elif match.range_start is not None and match.range_end is not None:
            self._test = _range_test(match.range_start, match.range_end)

    def holds(self, head: Head) -> bool:
        """Whether the condition is met."""
        value = self._value(head)
        if self._test is None:
            there = value is not None or self._missing_as_empty
            return (there == self._present) is not self._invert
        if value is None:
            # Without a value nothing is compared, inverted or not (Envoy, HeaderMatcher).
            if not self._missing_as_empty:
                return False
            value = b""
        elif value.partition(b",")[1] and len(values := head.values(self._name)) > 1:
            # Each of several fields is compared by itself, and one is enough (Envoy 1.40, measured).
            return any(map(self._test, values)) is not self._invert
        return self._test(value) is not self._invert

    def _value(self, head: Head) -> bytes | None:
        return _value_of(self._name, head)


def _value_of(name: bytes, head: Head) -> bytes | None:
    known = _KNOWN.get(name)
    if known is not None:
        return known(head)
    # What Connection names is for one hop, and gone before anything is matched (Envoy).
    return None if name[:1] == b":" or name in head.options else head.get(name)


def values_of(name: bytes, head: Head) -> list[bytes]:
    """The values of a request's fields of that name, as Envoy has them; see :class:`HeaderTest` for pseudo headers."""
    value = _value_of(name, head)
    if value is None:
        return []
    return [value] if name in _KNOWN or b"," not in value else head.values(name)


def _proto(head: Head) -> bytes:
    """Which a proxy adds where it is not said (Envoy)."""
    found = head.get(b"x-forwarded-proto")
    return b"http" if found is None else found


_KNOWN: dict[bytes, Callable[[Head], bytes | None]] = {
    b":method": lambda head: head.method,
    b":authority": lambda head: head.host,
    b"host": lambda head: head.host,  # an absolute target overrules the field
    b":path": lambda head: head.target,
    b":scheme": lambda head: b"https" if _proto(head) == b"https" else b"http",
    b"x-forwarded-proto": _proto,
    b"connection": lambda head: head.get(b"connection") if head.upgrade else None,
    b"upgrade": lambda head: head.get(b"upgrade") if head.upgrade else None,
    **dict.fromkeys(
        (
            *(b"keep-alive", b"proxy-connection", b"transfer-encoding", b"x-envoy-internal", b"x-envoy-max-retries"),
            *(b"x-envoy-retry-on", b"x-envoy-expected-rq-timeout-ms", b"x-envoy-upstream-rq-timeout-ms"),
        ),
        lambda head: None,
    ),
}
"""What a head says elsewhere than in a field of that name, and fields that Envoy takes away before it matches (measured)."""


def _range_test(start: int, end: int) -> Test:
    return lambda value: _WHOLE_NUMBER.match(value) is not None and start <= int(value) < end


class ParameterTest:
    """One condition on the query."""

    __slots__ = ("_name", "_present", "_test")

    def __init__(self, match: QueryParameterMatch) -> None:
        self._name = match.name.encode()
        self._present = match.present
        self._test = None if match.match is None else string_test(match.match)

    def holds(self, query: dict[bytes, bytes]) -> bool:
        """Whether the condition is met."""
        value = query.get(self._name)
        if self._test is None:
            return (value is not None) == self._present
        return value is not None and self._test(value)


def parse_query(query: bytes) -> dict[bytes, bytes]:
    """Parameters as they stand (Envoy compares them undecoded); of several with one name the first counts."""
    found: dict[bytes, bytes] = {}
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        if name:
            found.setdefault(name, value)
    return found

"""Conditions on what filters leave behind for one request (Envoy's dynamic metadata), compiled once."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

from mesh_api.config import StringMatch
from mesh_api.config.authorization import (
    BoolValue,
    ListValue,
    MetadataMatch,
    NullValue,
    NumberValue,
    PresentValue,
    ValueMatch,
)
from mesh_proxy.routing.matchers import string_test

NOTHING: Final[Mapping[str, object]] = MappingProxyType({})
"""Where no filter has left anything."""
ABSENT: Final = object()
"""No value at the path."""


class MetadataTest:
    """One condition."""

    __slots__ = ("_filter", "_invert", "_path", "_test")

    def __init__(self, match: MetadataMatch) -> None:
        self._filter = match.filter
        self._path = match.path
        self._invert = match.invert
        self._test = value_test(match.value)

    def holds(self, metadata: Mapping[str, object]) -> bool:
        """Whether the condition is met."""
        return self._test(value_at(metadata, self._filter, self._path)) is not self._invert


def value_at(metadata: Mapping[str, object], filter_name: str, path: tuple[str, ...]) -> object:
    """What a filter left at a path; :data:`ABSENT` where there is nothing."""
    found: object = metadata.get(filter_name, ABSENT)
    for key in path:
        if not isinstance(found, Mapping):
            return ABSENT
        found = found.get(key, ABSENT)
    return found


def value_test(match: ValueMatch) -> Callable[[object], bool]:
    """A condition on a value: text, number, boolean, ``None``, list or mapping."""
    if isinstance(match, StringMatch):
        text = string_test(match)
        return lambda value: isinstance(value, str) and text(value.encode())
    if isinstance(match, NullValue):
        return lambda value: value is None
    if isinstance(match, PresentValue):
        present = match.present
        return lambda value: present and value is not ABSENT
    if isinstance(match, BoolValue):
        wanted = match.value
        return lambda value: value is wanted
    if isinstance(match, NumberValue):
        return partial(_is_number, match)
    if isinstance(match, ListValue):
        inner = value_test(match.one_of)
        return lambda value: isinstance(value, list | tuple) and any(map(inner, value))
    tests = tuple(map(value_test, match.matches))
    return lambda value: any(test(value) for test in tests)


def _is_number(match: NumberValue, value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return value == match.value if match.end is None else match.value <= value < match.end

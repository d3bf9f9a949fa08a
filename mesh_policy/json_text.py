"""JSON that others wrote: whatever they send, it is a value or a :class:`ValueError`.

Python's own parser raises :class:`RecursionError` for ``[[[[...``, which is no ValueError and is caught nowhere: a hundred
kilobytes of brackets would end the process that reads them.
"""

import json
import re
from collections.abc import Callable
from itertools import chain
from typing import Any, Final

MAX_DEPTH: Final = 64
"""How deep values may be nested, as in YAML (:data:`mesh_policy.yaml_events.MAX_DEPTH`)."""
TOO_DEEP: Final = f"values are nested deeper than {MAX_DEPTH} levels"
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


def parse(text: str | bytes, constant: Callable[[str], object] | None = None) -> Any:
    """The value of a text. Raises :class:`ValueError`, also for values that are nested too deep. ``constant`` is given what
    JSON does not know (``NaN``), as ``parse_constant`` of :func:`json.loads`."""
    try:
        value = json.loads(text, parse_constant=constant)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    if too_deep(value):
        raise ValueError(TOO_DEEP)
    return value


def too_deep(value: Any, limit: int = MAX_DEPTH) -> bool:
    """Whether values are nested deeper than ``limit``. Level by level, for what is too deep is too deep for a function that
    calls itself."""
    level = [value]
    for _ in range(limit):
        level = list(chain.from_iterable(_items(item) for item in level if isinstance(item, dict | list)))
        if not level:
            return False
    return any(isinstance(item, dict | list) for item in level)


def _items(container: dict[str, Any] | list[Any]) -> Any:
    return container.values() if isinstance(container, dict) else container


def parse_cut(text: str, limit: int = 4 * MAX_DEPTH) -> Any:
    """As :func:`parse`, for an answer with objects of many people: one that is nested too deep does not keep the others from
    being read. It is cut off at ``limit``, deep enough for whoever reads that object to see that it is too deep."""
    try:
        return json.loads(text)
    except RecursionError:
        return json.loads(_cut(text, limit))


def _cut(text: str, limit: int) -> str:
    kept: list[str] = []
    depth = begin = 0
    for token in _TOKENS.finditer(text):
        mark = token.group()
        if mark in ("[", "{"):
            depth += 1
            if depth == limit + 1:
                kept += [text[begin : token.start()], "null"]
        elif mark in ("]", "}"):
            if depth == limit + 1:
                begin = token.end()
            depth -= 1
    return "".join([*kept, text[begin:]]) if depth <= limit else ""

"""Plain values of ordinary YAML documents, from the parser's events: no tree of nodes, no line before it is asked for.

A document is ordinary when it has no anchors, aliases, tags or merged keys, and nothing to complain about. Every other is
:data:`UNUSUAL`, and read by :mod:`mesh_policy.yaml_nodes`. The loops are long and flat because a file has a hundred thousand
events and a call costs as much as the rest.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from yaml.events import (
    DocumentEndEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from mesh_policy.errors import PolicyError
from mesh_policy.yaml_events import MAX_DEPTH, Events, Path, Span, too_deep
from mesh_policy.yaml_nodes import MAX_NODES
from mesh_policy.yaml_scalars import plain as plain_value

UNUSUAL: Final[Any] = object()
"""Instead of a value: the document is not an ordinary one."""
_NOTHING: Final[Any] = object()
_HALF_ADDRESS = re.compile(r"[0-9a-fA-F:]+:")


class Plain(dict[str, Any]):
    """What a text without quotes stands for (:mod:`mesh_policy.yaml_scalars`), worked out once for each text."""

    def __missing__(self, text: str) -> Any:
        self[text] = value = UNUSUAL if text == "<<" else plain_value(text)
        return value


def read(parser: Events, plain: Plain, span: Span, source: str) -> tuple[Any, Any]:
    """The value of the document whose start was just read, or :data:`UNUSUAL`, and the mark behind its end.

    Raises PyYAML's errors, and :class:`PolicyError` for values nested too deep.
    """
    get = parser.get_event
    root: Any = None
    container: Any = None
    key: Any = _NOTHING
    around: list[Any] = []
    bare, count = -1, 0  # bare: where a map began that perhaps has no braces: [a: b]
    while True:
        event = get()
        kind = type(event)
        if kind is ScalarEvent:
            item = plain[event.value] if event.implicit[0] else event.value
            if item is UNUSUAL or event.anchor is not None or event.tag is not None:
                break
            if key is _NOTHING and type(container) is dict:
                half = bare == event.start_mark.index and _HALF_ADDRESS.fullmatch(event.value)
                if half or type(item) is not str or item in container:
                    break
                key = item
                continue
        elif kind is MappingStartEvent or kind is SequenceStartEvent:
            if len(around) >= MAX_DEPTH:
                raise PolicyError([too_deep(source, span.line + event.start_mark.line)])
            is_key = key is _NOTHING and type(container) is dict
            if is_key or event.anchor is not None or event.tag is not None:
                break
            item = {} if kind is MappingStartEvent else []
            bare = event.start_mark.index if event.flow_style else -1
        elif kind is MappingEndEvent or kind is SequenceEndEvent:
            container = around.pop()
            continue
        elif kind is DocumentEndEvent:
            return root, event.end_mark
        else:  # an alias
            break
        if (count := count + 1) > MAX_NODES:
            break
        if container is None:
            root = item
        elif key is _NOTHING:
            container.append(item)
        else:
            container[key] = item
            key = _NOTHING
        if kind is not ScalarEvent:
            around.append(container)
            container = item
    return _unusual(get, len(around) + (kind is MappingStartEvent or kind is SequenceStartEvent), span, source)


def _unusual(get: Any, depth: int, span: Span, source: str) -> tuple[Any, Any]:
    """Go on to the end of the document, so that a mistake of syntax is told before any other."""
    while True:
        event = get()
        kind = type(event)
        if kind is MappingStartEvent or kind is SequenceStartEvent:
            depth += 1
            if depth > MAX_DEPTH:
                raise PolicyError([too_deep(source, span.line + event.start_mark.line)])
        elif kind is MappingEndEvent or kind is SequenceEndEvent:
            depth -= 1
        elif kind is DocumentEndEvent:
            return UNUSUAL, event.end_mark


def lines(span: Span) -> Iterator[tuple[Path, int]]:
    """The line of each path into the ordinary document that begins there: of a field, the line of its name."""
    get = span.document().get_event
    path: Path = ()
    place: int | None = None  # in a list; None in a map
    key: str | None = None
    around: list[tuple[Path, int | None]] = []
    while True:
        event = get()
        kind = type(event)
        if kind is DocumentEndEvent:
            return
        if kind is MappingEndEvent or kind is SequenceEndEvent:
            path, place = around.pop()
            continue
        line = span.line + event.start_mark.line
        if place is not None:
            own: Path = (*path, place)
            place += 1
            yield own, line
        elif key is not None:
            own, key = (*path, key), None
        elif around:
            key = event.value
            yield (*path, key), line
            continue
        else:
            own = ()
            yield own, line
        if kind is not ScalarEvent:
            around.append((path, place))
            path, place = own, (0 if kind is SequenceStartEvent else None)

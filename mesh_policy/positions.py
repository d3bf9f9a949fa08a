"""YAML with the line of every field."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

import yaml

from mesh_policy import json_text, yaml_nodes, yaml_values
from mesh_policy.errors import PolicyError, Problem
from mesh_policy.yaml_events import Path, Span, too_deep, whole

__all__ = ["Document", "Path", "documents"]


class Document:
    """One YAML document, or an object of a list in it: ``value`` is plain values.

    Lines are counted when the first is asked for: most documents are never complained about.
    """

    __slots__ = ("_lines", "value")

    def __init__(self, value: Any, lines: "_Lines") -> None:
        self.value = value
        self._lines = lines

    @classmethod
    def of(cls, value: Any) -> "Document":
        """A value that nobody wrote into a file: whatever it has stands in line 0.

        Raises :class:`PolicyError` for one that is nested deeper than YAML may be: what reads it calls itself for each level.
        """
        if json_text.too_deep(value):
            subject = value.get("kind", "object") if isinstance(value, dict) else "object"
            raise PolicyError([Problem("", 0, str(subject), _deep_field(value), f"{json_text.TOO_DEEP}; write fewer")])
        return cls(value, _Lines(tuple))

    def line(self, path: Path) -> int:
        """The line (from 1) of the path, or of the nearest thing around it that has one."""
        return self._lines.of(path)

    def part(self, path: Path, value: Any) -> "Document":
        """The part of the value at that path, as a document of its own."""
        return Document(value, _Part(self._lines, path))


def _deep_field(value: Any) -> str:
    """The field, two names long, that holds what is too deep."""
    names: list[str] = []
    while len(names) < 2 and isinstance(value, dict):
        left = json_text.MAX_DEPTH - len(names) - 1
        name = next((name for name, item in value.items() if json_text.too_deep(item, left)), None)
        if name is None:
            break
        names.append(str(name))
        value = value[name]
    return ".".join(names)


class _Lines:
    """Lines by path. For the first that is asked for no more is read than up to it: it is often the only one."""

    def __init__(self, read: Callable[[], Iterable[tuple[Path, int]]]) -> None:
        self._read = read
        self._found: dict[Path, int] = {}
        self._times = 0

    def of(self, path: Path) -> int:
        found = self._found
        if path not in found and self._times < 2:
            self._times += 1
            for own, line in self._read():
                found[own] = line
                if own == path and self._times == 1:
                    break
            else:
                self._times = 2
        while path and path not in found:
            path = path[:-1]
        return found.get(path, 0)


class _Part(_Lines):
    """Lines by path from a place in a document."""

    def __init__(self, lines: _Lines, start: Path) -> None:
        self._around, self._start = lines, start

    def of(self, path: Path) -> int:
        return self._around.of((*self._start, *path))


def documents(text: str, source: str) -> Iterator[Document]:
    """The documents of a stream, empty ones left out. Raises :class:`PolicyError` for what is not YAML."""
    return (document for document in _documents(whole(text), source) if document.value is not None)


def _documents(span: Span, source: str) -> Iterator[Document]:
    """All documents from there on. From where libyaml sees a mistake PyYAML's own parser reads on, and has the last word."""
    begun, read = span, 0
    try:
        parser, plain = span.parser(), yaml_values.Plain()
        while not parser.check_event(yaml.StreamEndEvent):
            event = parser.get_event()
            if isinstance(event, yaml.DocumentStartEvent):
                begun, read = span.after(event.start_mark), 0
                value, end = yaml_values.read(parser, plain, begun, source)
                part = Span(begun.text, begun.start, begun.line, begun.fast, span.start + end.index)
                document = _document(value, part, plain, source)
                read = 1
                yield document
    except yaml.YAMLError as error:
        if not span.fast:
            raise PolicyError([_mistake(error, source, span.line)]) from None
        yield from islice(_documents(replace(begun, fast=False), source), read, None)


def _document(value: Any, span: Span, plain: yaml_values.Plain, source: str) -> Document:
    """The document of that span, by PyYAML's own parser where libyaml may be mistaken without knowing it."""
    try:
        if span.fast and span.doubtful():
            span = replace(span, fast=False)
            value, _ = yaml_values.read(span.document(), plain, span, source)
        if value is yaml_values.UNUSUAL:
            value, lines = yaml_nodes.read(replace(span, fast=False), source)
            return Document(value, _Lines(lines.items))
    except yaml.YAMLError as error:
        raise PolicyError([_mistake(error, source, span.line)]) from None
    except RecursionError:
        raise PolicyError([too_deep(source, 0)]) from None
    except PolicyError:
        raise
    except (ValueError, OverflowError) as error:  # such as `!!int x`, or a timestamp on the 32nd day
        raise PolicyError([Problem(source, 0, "not YAML", "", str(error))]) from None
    except (LookupError, AttributeError):  # what PyYAML makes of `!!int ""`, `!!bool x` and `!!timestamp x`
        raise PolicyError([Problem(source, span.line, "not YAML", "", "a value does not fit its tag")]) from None
    return Document(value, _Lines(partial(yaml_values.lines, span)))


def _mistake(error: yaml.YAMLError, source: str, first_line: int) -> Problem:
    mark = getattr(error, "problem_mark", None)
    line = first_line + mark.line if mark is not None else 0
    reason = str(getattr(error, "problem", None) or str(error).splitlines()[0])
    if "'\\t'" in reason:
        reason += "; YAML takes blanks for indentation, not tabs"
    return Problem(source, line, "not YAML", "", reason)

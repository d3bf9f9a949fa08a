"""YAML as a stream of events: by libyaml, where PyYAML was built with it, or by PyYAML's own parser, ten times slower.

Both make the same events of the same text. Where libyaml finds a mistake the own parser has the last word, so that an error
has the same words and the same line on every machine.
"""

import re
from dataclasses import dataclass
from typing import Any, Protocol

from yaml.parser import Parser
from yaml.reader import Reader
from yaml.scanner import Scanner

from mesh_policy.errors import Problem

try:
    from yaml._yaml import CParser
except ImportError:  # PyYAML without libyaml
    CParser = None  # type: ignore[assignment,misc]

Path = tuple[str | int, ...]

BOM = "\ufeff"
"""The mark of byte order, which some editors put before a text."""
MAX_DEPTH = 64
"""How deep values may be nested."""


class Events(Protocol):
    """A parser of PyYAML's."""

    def check_event(self, *choices: Any) -> bool: ...
    def peek_event(self) -> Any: ...
    def get_event(self) -> Any: ...


class _OwnParser(Reader, Scanner, Parser):
    """PyYAML's parser in Python."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)


# What the two do not take alike: characters that no YAML may hold, marks of byte order, and the breaks of lines that only
# YAML 1.1 knows.
_UNALIKE = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")

# What only one of them takes: tabs in and after plain text, and `>#` for a block with a comment.
_DOUBTFUL = re.compile("\t|[>|][-+0-9]*#")


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a text. ``line`` (from 1) is the line of the index ``start``; ``fast`` allows libyaml."""

    text: str
    start: int
    line: int
    fast: bool
    end: int | None = None

    def parser(self) -> Events:
        """The events of the part; their marks count from its start."""
        text = self.text[self.start : self.end]
        return CParser(text) if self.fast else _OwnParser(text)

    def document(self) -> Events:
        """The same, behind the start of the first document."""
        parser = self.parser()
        parser.get_event(), parser.get_event()
        return parser

    def doubtful(self) -> bool:
        """Whether libyaml may take what PyYAML's own parser refuses."""
        return _DOUBTFUL.search(self.text, self.start, len(self.text) if self.end is None else self.end) is not None

    def after(self, mark: Any) -> "Span":
        """What follows a mark that a parser of this part made, the blanks before it in its line included."""
        start, line = self.start + mark.index, self.line + mark.line
        while start and self.text[start - 1] == " ":
            start -= 1
        if start and self.text[start] == BOM:  # there it is text; at the start of a part it would be a mark
            start, line = start - 1, line - (self.text[start - 1] in "\n\r\x85\u2028\u2029")
        return Span(self.text, start, line, self.fast, self.end)


def whole(text: str) -> Span:
    """All of a text; a mark of byte order before it is no part of it."""
    plain = text.removeprefix(BOM)
    fast = CParser is not None and _UNALIKE.search(plain) is None
    return Span(plain if fast else text, 0, 1, fast)


def too_deep(source: str, line: int) -> Problem:
    """That values are nested too deep."""
    return Problem(
        source, line, "not YAML", "", f"values are nested deeper than {MAX_DEPTH} levels, or hold themselves"
    )

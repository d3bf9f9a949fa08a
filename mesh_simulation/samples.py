"""Strings that a condition is met by, that it is just not met by, and one that has nothing to do with it. Deterministic."""

from collections.abc import Iterator

import re2

OTHER = "something-else"
"""A value that no sensible condition is about."""


class _Pattern:
    """Reads a regular expression and writes the shortest text that it may match: the first alternative, least repeats."""

    _CLASSES = {"d": "0", "w": "a", "s": " ", "D": "a", "W": "-", "S": "a", "b": "", "B": "", "A": "", "z": ""}

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def alternatives(self) -> str:
        found = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            found.append(self._sequence())
        return next((text for text in found if text), "")

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _sequence(self) -> str:
        made = ""
        while self._peek() not in ("", "|", ")"):
            atom = self._atom()
            made += atom * self._least(atom)
        return made

    def _atom(self) -> str:
        char = self._peek()
        self._at += 1
        if char == "(":
            if self._peek() == "?":
                while self._peek() not in ("", ":", ")", ">"):
                    self._at += 1
                if self._peek() == ")":  # flags alone
                    self._at += 1
                    return ""
                self._at += 1
            inner = self.alternatives()
            self._at += 1
            return inner
        if char == "[":
            return self._class()
        if char == "\\":
            char = self._peek()
            self._at += 1
            return self._CLASSES.get(char, char)
        return {".": "x", "^": "", "$": ""}.get(char, char)

    def _class(self) -> str:
        end = self._text.index("]", self._at + 1 + (self._peek() == "^"))
        content, self._at = self._text[self._at : end], end + 1
        if not content.startswith("^"):
            return self._CLASSES.get(content[1:2], content[1:2]) if content[0] == "\\" else content[0]
        return next(char for char in "xa0-_" if re2.fullmatch(f"[{content}]", char) is not None)

    def _least(self, atom: str) -> int:
        char = self._peek()
        if char in ("*", "?", "+"):
            self._at += 1
            if self._peek() == "?":
                self._at += 1
            return 1 if char == "+" or (char == "*" and atom in ("x", "a", "0")) else 0
        if char == "{":
            end = self._text.index("}", self._at)
            least, self._at = self._text[self._at + 1 : end].partition(",")[0], end + 1
            return int(least)
        return 1


def of_pattern(pattern: str) -> str | None:
    """A text that RE2 matches as a whole; ``None`` where none was found."""
    try:
        made = _Pattern(pattern).alternatives()
    except (ValueError, IndexError, StopIteration):
        return None
    return made if re2.fullmatch(pattern, made) is not None else None


def near(kind: str, value: str) -> Iterator[str]:
    """Texts that show what ``kind`` (``exact``, ``prefix``, ``suffix``, ``regex``) of ``value`` is met by, and its edges."""
    if kind == "exact":
        yield value
        yield value + "x"
    elif kind == "prefix":
        yield value
        yield value + "x"
        if len(value) > 1:
            yield value[:-1]
    elif kind == "suffix":
        yield "x" + value
        if len(value) > 1:
            yield "x" + value[1:]
    elif kind == "regex":
        sample = of_pattern(value)
        if sample is not None:
            yield sample
            yield sample + "~"
    elif kind == "present":
        yield "x"


def of_wildcard(text: str) -> tuple[str, str]:
    """Kind and value of a string in an AuthorizationPolicy: ``abc``, ``abc*``, ``*abc``, ``*``."""
    if text == "*":
        return "present", ""
    if text.endswith("*"):
        return "prefix", text[:-1]
    return ("suffix", text[1:]) if text.startswith("*") else ("exact", text)

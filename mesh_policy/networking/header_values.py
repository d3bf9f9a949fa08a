"""Values of headers in Envoy's format: text in which ``%NAME%``, ``%NAME(ARGUMENT)%`` or ``%NAME(["A", "B"])%`` stand for
something about the request, and ``%%`` for a percent sign."""

import re

_ARGUMENT = re.compile(r'(?:[^\\")]|\\.)*', re.DOTALL)
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f]")


def check_header_value(value: str) -> str:
    """The value; :class:`ValueError` with what is wrong. Which names there are is not looked at, as in Istio."""
    if _CONTROL.search(value):
        raise ValueError(f"{value!r}: a header has one line and no control characters")
    rest = value
    while rest:
        _, percent, rest = rest.partition("%")
        if percent and not rest:
            raise ValueError(f"{value!r}: a percent sign is written %%, or encloses one of Envoy's variables")
        rest = rest[1:] if rest.startswith("%") else _after_variable(rest, value) if percent else ""
    return value


def _after_variable(text: str, whole: str) -> str:
    """What stands behind the variable that begins with ``text``."""
    end = re.search("[%(]", text)
    if end is None:
        raise ValueError(f"{whole!r}: a percent sign is written %%, or encloses one of Envoy's variables")
    rest = text[end.end() :]
    return rest if end[0] == "%" else _behind("%", _after_arguments(rest.lstrip(" "), whole), whole)


def _after_arguments(text: str, whole: str) -> str:
    """What stands behind the parenthesis that closes the arguments: a list in brackets, or one as it stands.

    The first character of a plain one belongs to it, whatever it is; a quote in it begins the rest of a list (as in Envoy).
    """
    listed = text.startswith("[")
    text = _behind('"', text[1:], whole) if listed else text[1:]
    while True:
        text = text[_argument_end(text) :]
        if text.startswith(")"):
            return text[1:]
        text = _behind('"', text, whole).lstrip(" ")
        if text.startswith("]"):
            return _behind(")", text[1:], whole)
        text = _behind('"', _behind(",", text, whole), whole)


def _argument_end(text: str) -> int:
    """How long an argument is: up to a quote or parenthesis that no backslash precedes."""
    found = _ARGUMENT.match(text)
    return found.end() if found is not None else 0


def _behind(wanted: str, text: str, whole: str) -> str:
    """What stands behind a character that must come next, perhaps after blanks."""
    text = text.lstrip(" ")
    if not text.startswith(wanted):
        raise ValueError(
            f"{whole!r}: {wanted} must follow in an expression in percent signs; write %% for the sign itself"
        )
    return text[len(wanted) :]

"""What a text without quotes stands for in YAML, as Kubernetes and Istio read it.

They read with ``go.yaml.in/yaml/v2``, below ``sigs.k8s.io/yaml``: YAML 1.1 with rules of its own (``resolve.go``), which this
module repeats, rule by rule. So ``1e2`` and ``1_000`` are numbers, ``y`` and ``on`` are true, ``017`` and ``0o17`` are 15,
``08`` is 8; ``1:20`` and ``2026-01-01`` are texts.
"""

import re
from typing import Any, Final

_WORDS: Final[dict[str, Any]] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_DOT_FLOAT = re.compile(r"\.[0-9]+(?:_[0-9]+)*(?:[eE][-+]?[0-9]+(?:_[0-9]+)*)?")
"""What Go's ``strconv.ParseFloat`` takes behind a dot: an underscore stands between digits."""
_INTEGER = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]{0,19}))")
_BASES = (16, 2, 8, 10)
_SMALLEST, _LARGEST, _LARGEST_WITHOUT_SIGN = -(2**63), 2**63 - 1, 2**64 - 1


def plain(text: str) -> Any:
    """The text itself, or the number, truth value or nothing that it stands for."""
    found = _WORDS.get(text, text)
    if found is not text:
        return found
    first = text[0]
    if first in "0123456789+-":
        return _number(text)
    if first == "." and _DOT_FLOAT.fullmatch(text):
        return _float(text, text)
    return text


def _number(text: str) -> Any:
    """Underscores count nowhere; what no whole number of 64 bits is may be a float."""
    digits = text.replace("_", "")
    found = _INTEGER.fullmatch(digits)
    if found is not None:
        sign, *groups = found.groups()
        value = next(int(group, base) for group, base in zip(groups, _BASES, strict=True) if group is not None)
        value = -value if sign == "-" else value
        if _SMALLEST <= value <= (_LARGEST if sign else _LARGEST_WITHOUT_SIGN):
            return value
    return _float(digits, text) if _FLOAT.fullmatch(digits) else text


def _float(digits: str, text: str) -> Any:
    """The float, or the text where it is larger than any."""
    value = float(digits)
    return text if value in (float("inf"), float("-inf")) else value

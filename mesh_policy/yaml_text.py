"""Plain values to YAML, always in the same form."""

from typing import Any

import yaml
from yaml.resolver import Resolver

from mesh_policy.yaml_scalars import plain

try:
    from yaml.cyaml import CSafeDumper
except ImportError:  # PyYAML without libyaml
    CSafeDumper = None  # type: ignore[assignment,misc]


class _Quoting(Resolver):
    """Texts stand in quotes where a reader would take them for something else: PyYAML, or Kubernetes (``1e2``, ``y``)."""

    def resolve(self, kind: type[yaml.Node], value: str, implicit: tuple[bool, bool]) -> Any:
        tag = super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]
        if tag == _TEXT and kind is yaml.ScalarNode and implicit[0] and type(plain(value)) is not str:
            return _NO_TEXT
        return tag


class Dumper(_Quoting, yaml.SafeDumper):
    """PyYAML's own, the judge of the form."""


if CSafeDumper is not None:

    class _QuickDumper(_Quoting, CSafeDumper):
        """By libyaml."""


_TEXT, _NO_TEXT = "tag:yaml.org,2002:str", "tag:yaml.org,2002:float"
_FORM: dict[str, Any] = {"sort_keys": False, "allow_unicode": True, "width": 116}
_BREAKS = ("\x85", "\u2028", "\u2029")
"""Breaks of lines that PyYAML writes as they are, and reads as blanks: escaped, they are read as what they were."""


def written(document: dict[str, Any]) -> str:
    """The document as PyYAML's own dumper writes it, by libyaml where that writes the same.

    They differ in what they escape, in where they break a text with escapes, and in keys that are empty.
    """
    text = _quickly(document)
    if text and text.isascii() and "\\" not in text and "'':" not in text:
        return text
    text = str(yaml.dump(document, Dumper=Dumper, **_FORM))
    if any(mark in text for mark in _BREAKS):
        return str(yaml.dump(document, Dumper=Dumper, **{**_FORM, "allow_unicode": False}))
    return text


def _quickly(document: dict[str, Any]) -> str:
    """By libyaml; nothing where it cannot."""
    if CSafeDumper is None:
        return ""
    try:
        return str(yaml.dump(document, Dumper=_QuickDumper, **_FORM))
    except UnicodeEncodeError:  # half a character, which Python's text may hold and UTF-8 not
        return ""

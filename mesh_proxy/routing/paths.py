"""Paths: normalisation, and what a route rewrites."""

import re
from typing import Final

import re2

from mesh_api.config import RegexRewrite

_UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_ESCAPE = re.compile(rb"%([0-9a-fA-F]{2})")
_BAD_ESCAPE = re.compile(rb"%(?![0-9a-fA-F]{2})")


def normalize(path: bytes) -> bytes | None:
    """The path (without query) after RFC 3986 6.2.2: unreserved characters unescaped, dot segments removed.

    ``None`` for a path that cannot be: a broken escape, or a NUL.
    """
    if b"%" in path:
        if _BAD_ESCAPE.search(path) is not None or b"%00" in path:
            return None
        path = _ESCAPE.sub(_unescape, path)
    path = path.replace(b"\\", b"/")
    if b"/." not in path:
        return path
    kept: list[bytes] = []
    segments = path.split(b"/")[1:]
    for position, segment in enumerate(segments):
        last = position == len(segments) - 1
        if segment == b"..":
            if kept:
                kept.pop()
            if last:
                kept.append(b"")
        elif segment == b".":
            if last:
                kept.append(b"")
        else:
            kept.append(segment)
    return b"/" + b"/".join(kept)


def _unescape(found: "re.Match[bytes]") -> bytes:
    byte = int(found[1], 16)
    return bytes([byte]) if byte in _UNRESERVED else found[0].upper()


def merge_slashes(path: bytes) -> bytes:
    """Several slashes as one."""
    return re.sub(rb"//+", b"/", path)


class RegexReplacement:
    """Replaces everything that an RE2 expression finds."""

    __slots__ = ("_pattern", "_substitution")

    def __init__(self, rewrite: RegexRewrite) -> None:
        self._pattern = re2.compile(rewrite.pattern.encode())
        self._substitution = rewrite.substitution.encode()

    def apply(self, path: bytes) -> bytes:
        """The path with every match replaced."""
        return bytes(self._pattern.sub(self._substitution, path))

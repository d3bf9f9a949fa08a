"""Paths: normalisation, and what a route rewrites."""

import re
from typing import Final

from mesh_api.config import RegexRewrite
from mesh_proxy.routing.matchers import MatcherError, compile_pattern

_UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_ESCAPE: Final = re.compile(rb"%([0-9a-fA-F]{2})")
_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9a-fA-F]{2})")
_SLASH: Final = re.compile(rb"%2[fF]")
_BACKSLASH: Final = re.compile(rb"%5[cC]")
_UNSAFE: Final = re.compile(rb'["<>^`{|}]')
"""Characters that Envoy escapes (measured): RFC 3986 allows them nowhere."""
_ORDINARY: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/!$&'()*+,;=:@"
"""What stays as it is, wherever it stands but for dots after a slash."""
_IF_ORDINARY: Final = bytes(i if i in _ORDINARY else i ^ 128 for i in range(256))
"""Leaves as it is what consists of these; ``translate`` is quickest with a table alone."""
_REFERENCE: Final = re.compile(r"\\(.?)", re.DOTALL)


def normalize(path: bytes) -> bytes | None:
    """The path (without query) after RFC 3986 6.2.2: unreserved characters unescaped, dot segments removed.

    As in Envoy, other escapes keep their case, characters that no path may have are escaped, and a dot segment with
    parameters (``..;x``) is one: some servers drop them.
    ``None`` for a path that cannot be: a broken escape, or a NUL.
    """
    if path.translate(_IF_ORDINARY) == path and not path.partition(b"/.")[1]:  # which is quicker than "in" and "find"
        return path
    if b"%" in path:
        if _BAD_ESCAPE.search(path) is not None or b"%00" in path:
            return None
        path = _ESCAPE.sub(_unescape, path)
    path = path.replace(b"\\", b"/")
    if _UNSAFE.search(path) is not None:
        path = _UNSAFE.sub(lambda found: b"%%%02X" % found[0][0], path)
    if b"/." not in path:
        return path
    kept: list[bytes] = []
    segments = path.split(b"/")[1:]
    for position, segment in enumerate(segments):
        last = position == len(segments) - 1
        plain = segment.partition(b";")[0]
        if plain == b"..":
            if kept:
                kept.pop()
            if last:
                kept.append(b"")
        elif plain == b".":
            if last:
                kept.append(b"")
        else:
            kept.append(segment)
    return b"/" + b"/".join(kept)


def _unescape(found: "re.Match[bytes]") -> bytes:
    byte = int(found[1], 16)
    return bytes([byte]) if byte in _UNRESERVED else found[0]


def unescape_slashes(path: bytes) -> bytes:
    """Slashes and backslashes that are written as escapes, as they are."""
    return _SLASH.sub(b"/", _BACKSLASH.sub(b"\\\\", path))


def merge_slashes(path: bytes) -> bytes:
    """Several slashes as one."""
    return re.sub(rb"//+", b"/", path)


class RegexReplacement:
    """Replaces everything that an RE2 expression finds; in the substitution ``\\0`` is all of it, ``\\1`` its first group.

    Raises :class:`~mesh_proxy.routing.matchers.MatcherError`.
    """

    __slots__ = ("_pattern", "_substitution")

    def __init__(self, rewrite: RegexRewrite) -> None:
        self._pattern = compile_pattern(rewrite.pattern)
        self._substitution = _template(rewrite, self._pattern.groups).encode()

    def apply(self, path: bytes) -> bytes:
        """The path with every match replaced."""
        return bytes(self._pattern.sub(self._substitution, path))


def _template(rewrite: RegexRewrite, groups: int) -> str:
    """RE2's form of a substitution in Python's, which reads ``\\0`` and ``\\10`` otherwise."""

    def reference(found: "re.Match[str]") -> str:
        if found[1] == "\\":
            return r"\\"
        if not found[1].isascii() or not found[1].isdigit() or int(found[1]) > groups:
            raise MatcherError(f"the substitution {rewrite.substitution!r} does not fit {rewrite.pattern!r}")
        return rf"\g<{found[1]}>"

    return _REFERENCE.sub(reference, rewrite.substitution)

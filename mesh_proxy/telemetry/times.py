"""Points in time as access logs write them (Envoy ``START_TIME`` and its kin): strftime, with fractions of a second.

https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage#command-operators
"""

import re
import time
from collections.abc import Callable
from typing import Final

Stamp = Callable[[float], bytes]
"""Wall time in seconds to text."""

DEFAULT: Final = "%Y-%m-%dT%H:%M:%S.%3fZ"
_LOCAL_DEFAULT: Final = "%Y-%m-%dT%H:%M:%S.%3f%z"
_PRECISE: Final = re.compile(r"%([1-9]?)f|%(s)|%E([0-9*])S|%(E4Y|Ez|E\*z)|%(%)")
_NANOSECONDS: Final = 9
_SECONDS: Final = -1
_AS_NEEDED: Final = -2


class TimeFormatError(ValueError):
    """A form of time that cannot be written."""


def stamp(form: str, local: bool = False) -> Stamp:
    """A function that writes times in that form (empty: the usual one). Raises :class:`TimeFormatError`.

    What changes only with the second is kept until the next one: requests come many to one.
    """
    if re.search(r"%[-_0^#]*[1-9]*(E|O)?n", form) or "\n" in form:
        raise TimeFormatError(f"{form!r} has a line end")
    pieces = _pieces(form or (_LOCAL_DEFAULT if local else DEFAULT))
    broken_down = time.localtime if local else time.gmtime
    known, texts = -1, [b""] * len(pieces)

    def write(now: float) -> bytes:
        nonlocal known
        whole = int(now)
        if whole != known:
            known = whole
            parts = broken_down(whole)
            for place, (text, _) in enumerate(pieces):
                texts[place] = time.strftime(text, parts).encode() if text else b""
        nanoseconds = min(round((now - whole) * 1e6), 999_999) * 1000  # a float has no more of it
        made = b""
        for place, (_, digits) in enumerate(pieces):
            made += texts[place]
            if digits == _SECONDS:
                made += b"%d" % whole
            elif digits == _AS_NEEDED:
                made += b".%09d" % nanoseconds if nanoseconds else b""
                made = made.rstrip(b"0") if nanoseconds else made
            elif digits:
                made += b"%09d" % nanoseconds if digits == _NANOSECONDS else (b"%09d" % nanoseconds)[:digits]
        return made

    return write


def _pieces(form: str) -> list[tuple[str, int]]:
    """Texts for strftime, each with what follows it: so many digits of a second's fraction, or the seconds since 1970."""
    pieces: list[tuple[str, int]] = []
    text, end = "", 0
    for found in _PRECISE.finditer(form):
        text += form[end : found.start()]
        end = found.end()
        digits, seconds, precise, other, percent = found.groups()
        if percent:
            text += "%%"
        elif seconds:
            pieces.append((text, _SECONDS))
            text = ""
        elif other:
            text += "%Y" if other == "E4Y" else "%z"
        elif precise is not None:
            text += "%S"
            if precise == "*":
                pieces.append((text, _AS_NEEDED))
                text = ""
            elif precise != "0":
                pieces.append((text + ".", int(precise)))
                text = ""
        else:
            pieces.append((text, int(digits or _NANOSECONDS)))
            text = ""
    pieces.append((text + form[end:], 0))
    return pieces


POINTS: Final = {
    "DS_RX_BEG": "r.began",
    "DS_RX_END": "r.heard",
    "US_CX_BEG": "(u.began if u is not None else 0.0)",
    "US_CX_END": "(u.stood if u is not None else 0.0)",
    "US_HS_END": "(u.stood if u is not None and u.secured is not None else 0.0)",
    "US_TX_BEG": "r.passed",
    "US_TX_END": "(r.heard if r.heard > r.passed else r.passed)",
    "US_RX_BEG": "r.answered",
    "US_RX_END": "(r.ended if r.answered else 0.0)",
    "DS_TX_BEG": "(r.answered or r.ended)",
    "DS_TX_END": "r.ended",
}
"""The points of a request's life between which ``COMMON_DURATION`` measures, as expressions."""
PRECISIONS: Final = {"ms": 1000, "us": 1_000_000, "ns": 1_000_000_000}
"""Parts of a second."""


def between(begin: float, end: float, parts: int) -> int:
    """How long from one point to the other; -1: one of them was not reached, or not in this order."""
    return int((end - begin) * parts) if begin and end >= begin else -1

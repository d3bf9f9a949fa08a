"""Talking in bytes, step by step, at either end of a connection; and fields as they stand on the wire."""

import contextlib
import gzip
from collections.abc import Iterable
from typing import Any

from tests.support.raw_http import EndedError, Wire


def as_bytes(text: str | bytes) -> bytes:
    """What a file writes as text: its letters are bytes; ``{size: N, of: x}`` is long, ``{gzip: TEXT}`` compressed."""
    if isinstance(text, dict) and "gzip" in text:
        return gzip.compress(as_bytes(text["gzip"]), mtime=0)
    if isinstance(text, dict):
        return as_bytes(str(text.get("of", "x"))) * int(text["size"])
    return text if isinstance(text, bytes) else str(text).encode("latin-1")


def fields_in(lines: Iterable[bytes]) -> tuple[tuple[str, str], ...]:
    """Lines of a head as names in small letters and values."""
    found = []
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            found.append((name.lower(), value.strip()))
    return tuple(found)


def talk(wire: Wire, steps: list[Any]) -> list[str]:
    """Takes the steps; returns what was read in each that reads.

    ``send: TEXT``, ``receive: N`` bytes, ``until: TEXT``, and as words: ``head``, ``rest``, ``end``, ``reset``.
    """
    heard: list[str] = []
    for step in steps:
        if step == "end":
            with contextlib.suppress(OSError):  # it is over already
                wire.end()
        elif step == "reset":
            wire.reset()
        elif isinstance(step, dict) and "send" in step:
            wire.send(as_bytes(step["send"]))
        else:
            heard.append(_read(wire, step))
    return heard


def _read(wire: Wire, step: Any) -> str:
    try:
        if step == "head":
            data = wire.head()
        elif step == "rest":
            data = wire.rest()
        elif "receive" in step:
            data = wire.exactly(int(step["receive"]))
        else:
            data = wire.until(as_bytes(step["until"]))
    except EndedError:
        return "(ended)"
    except TimeoutError:
        return "(nothing)"
    except OSError:
        return "(reset)"
    return data.decode("latin-1")

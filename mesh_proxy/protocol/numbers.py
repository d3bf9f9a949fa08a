"""Numbers that a peer wrote, in however many digits: read without ever failing."""

from typing import Final

_DIGITS: Final = 19
"""So many digits a number of 63 bits has. Python takes its time for thousands, and refuses more than 4,300."""


def whole(text: bytes, most: int) -> int:
    """The number that decimal digits write; -1 where there is anything else, or it is above ``most``."""
    if not text.isdigit() or len(text) > _DIGITS:
        return -1
    number = int(text)
    return number if number <= most else -1

"""What verbs read where no file is named."""

import sys

from mesh_policy.errors import PolicyError, Problem

NAME = "standard input"
"""What messages call it."""


def read() -> str:
    """Its text. Raises :class:`PolicyError` when it is closed or is no UTF-8."""
    if sys.stdin is None:
        raise PolicyError([Problem(NAME, 0, "cannot be read", "", "is closed")])
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError:
        raise PolicyError([Problem(NAME, 0, "cannot be read", "", "is not UTF-8")]) from None

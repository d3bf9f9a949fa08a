#!/usr/bin/python3 -IS
"""Stands for ``/bin/sh`` in the image ``database``, since ``initdb`` hands the commands of its server to a shell.

It runs programs of PostgreSQL with words, quoted or not, and with ``/dev/null`` for their files, and nothing else."""

import os
import shlex
import sys

PROGRAMS = "/usr/lib/postgresql/"
NOTHING = "/dev/null"
REFUSED = 126
"""As a shell ends where a program may not be run."""
Redirection = tuple[int, int | None]
"""A descriptor, and the one that it becomes the same as; ``None``: nothing."""


def read(command: str) -> tuple[list[str], list[Redirection]]:
    """Words and redirections of a command. Raises :class:`ValueError` for any other."""
    words: list[str] = []
    redirections: list[Redirection] = []
    tokens = iter(shlex.shlex(command, posix=True, punctuation_chars=True))
    for word in tokens:
        if word in ("<", ">"):
            if next(tokens, "") != NOTHING:
                raise ValueError(f"files are {NOTHING} alone")
            redirections.append((0 if word == "<" else 1, None))
        elif word == ">&":
            if words[-1:] != ["2"] or next(tokens, "") != "1":
                raise ValueError("of >& there is 2>&1 alone")
            words.pop()
            redirections.append((2, 1))
        elif set(word) & set("();<>|&`$"):
            raise ValueError(f"{word!r} is not taken")
        else:
            words.append(word)
    if not words or not words[0].startswith(PROGRAMS) or ".." in words[0]:
        raise ValueError(f"programs are those below {PROGRAMS} alone")
    return words, redirections


def main() -> int:
    """As ``sh -c COMMAND``: becomes the program; ends with 126 for what is not taken."""
    try:
        flag, command = sys.argv[1:]
        if flag != "-c":
            raise ValueError("there is -c COMMAND alone")
        words, redirections = read(command)
    except ValueError as error:
        sys.stderr.write(f"sh: this is none: {error}\n")
        return REFUSED
    for descriptor, other in redirections:
        os.dup2(os.open(NOTHING, os.O_RDWR) if other is None else other, descriptor)
    return os.execv(words[0], words)  # noqa: S606 (that is what it is for)


if __name__ == "__main__":
    sys.exit(main())

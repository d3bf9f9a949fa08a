"""Lines of the log: one record is one line, whatever a peer calls itself.

A name with a line end in it, or the reason for which a proxy refuses something, could else write records of their own, of
certificates that were never issued.
"""

import logging
import re
from typing import Final, TextIO

FORM: Final = "%(levelname)s %(name)s: %(message)s"
CONTINUED: Final = "    | "
"""Before each line of a traceback: no record begins with it."""
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""C0, DEL, C1 (some terminals obey them), and what else readers take for the end of a line."""


def escaped(text: str) -> str:
    """The text in one line, and without what a terminal obeys."""
    return _CONTROL.sub(_escape, text)


def _escape(found: "re.Match[str]") -> str:
    return found.group().encode("unicode_escape").decode()


class OneLine(logging.Formatter):
    """Records in one line; a traceback follows in lines that cannot be taken for records."""

    def __init__(self) -> None:
        super().__init__(FORM)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        """The record without its traceback."""
        return escaped(super().formatMessage(record))

    def formatException(self, ei: object) -> str:  # noqa: N802 (logging's name)
        """The traceback. Whoever made the exception's text may have put line ends into it: they begin no record."""
        return _continued(super().formatException(ei))  # type: ignore[arg-type]  # a type of the stub alone

    def formatStack(self, stack_info: str) -> str:  # noqa: N802 (logging's name)
        """Where a record was made."""
        return _continued(stack_info)


def _continued(text: str) -> str:
    return "\n".join(CONTINUED + escaped(line) for line in text.split("\n"))


def handler(stream: TextIO) -> logging.Handler:
    """What writes all records of the process to ``stream``."""
    made = logging.StreamHandler(stream)
    made.setFormatter(OneLine())
    return made

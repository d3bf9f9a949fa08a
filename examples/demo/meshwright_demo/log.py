"""One JSON object per line on standard output: ``time`` (UTC), ``level``, ``message``, then the fields of the event."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

FIELDS = "fields"


class JsonFormatter(logging.Formatter):
    """Writes a record, with the mapping in its ``fields`` attribute, as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        entry: dict[str, object] = {"time": when, "level": record.levelname.lower(), "message": record.getMessage()}
        entry |= getattr(record, FIELDS, {})
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def configure() -> None:
    """Send every logger's lines to standard output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # Each lost connection would be told twice: the service says it in its own words.
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)


def event(logger: logging.Logger, message: str, *, level: int = logging.INFO, **fields: object) -> None:
    """Log an event with fields."""
    logger.log(level, message, extra={FIELDS: fields})


def fields(**values: object) -> Mapping[str, object]:
    """Fields for ``logger.exception(..., extra=fields(...))``."""
    return {FIELDS: values}

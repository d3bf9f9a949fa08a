"""Forms of an answer over HTTP."""

import json
from typing import Any

from aiohttp import web


def as_json(value: Any, status: int = 200) -> web.Response:
    """A value as JSON."""
    return web.Response(text=json.dumps(value, indent=2) + "\n", content_type="application/json", status=status)


def as_text(value: str, status: int = 200) -> web.Response:
    """A line of text."""
    return web.Response(text=value + "\n", status=status)

"""What requests to the admin interface ask for, and answers in its forms."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final
from urllib.parse import parse_qsl

import re2
from aiohttp import web

from mesh_proxy.ipc import Stats
from mesh_proxy.supervisor import exposition


def query_of(request: web.Request, known: set[str]) -> dict[str, str]:
    """The query; a parameter that would silently change nothing is an error."""
    query = dict(parse_qsl(request.query_string, keep_blank_values=True))
    unknown = sorted(query.keys() - known)
    if unknown:
        raise web.HTTPBadRequest(text=f"parameter {unknown[0]} is none of {', '.join(sorted(known))}\n")
    return query


TYPES: Final = {
    "All": ("counters", "gauges", "histograms"),
    "Counters": ("counters",),
    "Gauges": ("gauges",),
    "Histograms": ("histograms",),
    "TextReadouts": (),
}


def of_type(stats: Stats, wanted: str) -> Stats:
    """Numbers of one type alone."""
    if wanted not in TYPES:
        raise web.HTTPBadRequest(text="invalid &type= param\n")
    if wanted == "All":
        return stats
    return replace(stats, **{name: {} for name in TYPES["All"] if name not in TYPES[wanted]}, labelled={})


def format_of(query: dict[str, str], known: set[str]) -> str:
    """The form that is asked for; text where none is."""
    form = query.get("format", "text")
    if form not in known:
        raise web.HTTPBadRequest(text=f"format {form!r} is none of {', '.join(sorted(known))}\n")
    return form


def filter_of(pattern: str) -> Callable[[str], bool]:
    """Chooses names by an expression of RE2; empty: all."""
    if not pattern:
        return exposition.everything
    try:
        regex = re2.compile(pattern)
    except re2.error as error:
        raise web.HTTPBadRequest(text=f"Invalid re2 regex: {error}\n") from None
    return lambda name: regex.search(name) is not None


def json_page(value: Any) -> web.Response:
    """As Envoy writes it."""
    return web.Response(text=json.dumps(value, indent=1) + "\n", content_type="application/json")


def prometheus_page(text: str) -> web.Response:
    """For a scraper."""
    return web.Response(text=text, headers={"content-type": exposition.CONTENT_TYPE})


def text_page(text: str, status: int = 200) -> web.Response:
    """For people."""
    return web.Response(text=text, status=status, content_type="text/plain", charset="UTF-8")


def levels_of(query: dict[str, str], loggers: set[str]) -> str:
    """The level that ``/logging`` asks for, in one of Envoy's three ways; empty: none. Raises :class:`ValueError`."""
    asked = [pair.partition(":") for pair in query.get("paths", "").split(",") if pair]
    asked += [(name, ":", level) for name, level in query.items() if name not in ("level", "paths")]
    asked += [("*", ":", query["level"])] if "level" in query else []
    wanted = [level for _, _, level in asked]
    if any(level not in LEVELS for level in wanted):
        raise ValueError("unknown logger level")
    if any(name not in loggers and name != "*" for name, _, _ in asked):
        raise ValueError("unknown logger name")
    return LEVELS[wanted[-1]] if wanted else ""


LEVELS: Final = {
    "trace": "debug", "debug": "debug", "info": "info", "warning": "warning", "error": "error", "critical": "error",
    "off": "error",
}  # fmt: skip
"""Envoy's levels to ours."""

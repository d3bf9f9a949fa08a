"""Lines of access logs: Istio's text format, and its JSON."""

import re

from mesh_policy import json_text

FIELDS = (
    "start_time", "request", "response_code", "response_flags", "response_code_details", "connection_termination_details",
    "upstream_transport_failure_reason", "bytes_received", "bytes_sent", "duration", "upstream_service_time",
    "x_forwarded_for", "user_agent", "request_id", "authority", "upstream_host", "upstream_cluster", "upstream_local_address",
    "downstream_local_address", "downstream_remote_address", "requested_server_name", "route_name",
)  # fmt: skip
"""The fields of Istio's text format in their order, by their names in JSON."""

MEANINGS = {
    "start_time": "when the request began",
    "request": "method, path (the client's, before a rewrite) and protocol",
    "method": "method",
    "path": "path as the client sent it",
    "protocol": "protocol of the client",
    "response_code": "status; 0: there was none",
    "response_flags": "what the proxy has to say about it",
    "response_code_details": "who made the answer, and why",
    "connection_termination_details": "why the connection was ended",
    "upstream_transport_failure_reason": "why no connection to the host could be made",
    "bytes_received": "bytes of the request's body",
    "bytes_sent": "bytes of the answer's body",
    "duration": "milliseconds from the first byte to the last",
    "upstream_service_time": "milliseconds that the host took",
    "x_forwarded_for": "clients before, as the request tells them",
    "user_agent": "who asks, by its own word",
    "request_id": "x-request-id: the same in the log of every proxy on the way",
    "authority": "Host of the request",
    "upstream_host": "the host that was chosen",
    "upstream_cluster": "cluster: direction|port|subset|service",
    "upstream_local_address": "this end of the connection to the host",
    "downstream_local_address": "the address that the client dialled",
    "downstream_remote_address": "the client",
    "requested_server_name": "server name in TLS (SNI)",
    "route_name": "name of the route",
}
_TOKEN = re.compile(r'\[([^\]]*)\]|"((?:[^"\\]|\\.)*)"|(\S+)')


class LineError(ValueError):
    """A line of no known form."""


def parse(line: str) -> dict[str, str]:
    """The fields of a line by their names in JSON, without those that say nothing (``-``). Raises :class:`LineError`."""
    text = line.strip()
    found = _json(text) if text.startswith("{") else _text(text)
    return {name: value for name, value in found.items() if value not in ("", "-")}


def _json(text: str) -> dict[str, str]:
    try:
        value = json_text.parse(text)
    except ValueError as error:
        raise LineError(f"neither JSON nor text: {error}") from None
    known = {name: str(item) for name, item in value.items() if name in MEANINGS and item is not None}
    if "response_code" not in known and "response_flags" not in known:
        raise LineError("has neither response_code nor response_flags; is it a line of an access log?")
    return known


def _text(text: str) -> dict[str, str]:
    if not text.startswith("["):
        raise LineError("begins neither with [TIME] nor with {; give a whole line of Istio's access log")
    parts = [next((group for group in match if group), "") for match in _TOKEN.findall(text)]
    if len(parts) < len(FIELDS) - 1:
        raise LineError(f"has {len(parts)} fields, Istio's text format has {len(FIELDS)}")
    return dict(zip(FIELDS, parts, strict=False))

"""An API of Kubernetes in which there is nothing, so that an istiod starts whose configuration is a directory.

It will not start without one, though it asks this one for nothing that a measurement has to do with: every list is empty,
nothing ever changes, and what is written is taken and forgotten.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

NAMED = {"api": 6, "apis": 7}
"""Parts of a path that ends with the name of one object, by its first part."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class calls it so)
        """Nobody wants to read it."""

    def do_GET(self) -> None:
        """An empty list, a watch that says nothing, or nothing of that name."""
        url = urlsplit(self.path)
        asked, parts = parse_qs(url.query), url.path.strip("/").split("/")
        if url.path == "/version":
            self._answer(200, {"major": "1", "minor": "34", "gitVersion": "v1.34.0"})
        elif "sendInitialEvents" in asked:  # clients then list first, and watch afterwards
            self._answer(422, _failure("Invalid", 422))
        elif "watch" in asked:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.server.over.wait()  # type: ignore[attr-defined]
        elif len(parts) == NAMED.get(parts[0]):
            self._answer(404, _failure("NotFound", 404))
        else:
            self._answer(200, self._empty())

    def do_POST(self) -> None:
        """Taken, and forgotten."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(201, json.loads(body) if body.startswith(b"{") else {})

    def do_PUT(self) -> None:
        """The same."""
        self.do_POST()

    def do_PATCH(self) -> None:
        """The same."""
        self.do_POST()

    def _empty(self) -> dict[str, Any]:
        found = {"metadata": {"resourceVersion": "1"}, "items": []}
        partial = "as=PartialObjectMetadataList" in self.headers.get("Accept", "")
        kind = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"} if partial else {}
        return {**kind, **found}

    def _answer(self, status: int, value: dict[str, Any]) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _failure(reason: str, code: int) -> dict[str, Any]:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code}


@contextmanager
def empty_cluster() -> Iterator[str]:
    """A kubeconfig (YAML) of such an API, which is there until the end, on loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.over = threading.Event()  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    context = {"name": "empty", "context": {"cluster": "empty", "user": "nobody"}}
    try:
        yield json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "empty", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
                "users": [{"name": "nobody", "user": {}}],
                "contexts": [context],
                "current-context": "empty",
            }
        )
    finally:
        server.over.set()  # type: ignore[attr-defined]
        server.shutdown()
        server.server_close()

"""Where a redirect points to, as measured on Envoy 1.40."""

from typing import Any

import pytest

from mesh_api.config import PathMatchKind, Redirect, RegexRewrite
from mesh_proxy.worker.redirects import location
from tests.unit.mesh_proxy.making import compiled, head, match, route

ROWS = [
    ("uri and authority", {"path": "/v2", "host": "new.example.com"}, "svc", "/rs?q=1", "http://new.example.com/v2?q=1"),
    ("scheme and port", {"scheme": "https", "port": 8443}, "svc.example.com", "/rs/x", "https://svc.example.com:8443/rs/x"),
    ("prefix", {"prefix_rewrite": "/bar/"}, "svc", "/rs/baz?x=1", "http://svc/bar/baz?x=1"),
    ("nothing", {}, "svc:81", "/rs?q", "http://svc:81/rs?q"),
    ("https", {"https": True}, "h:8080", "/rs?x", "https://h:8080/rs?x"),
    ("https from the port of http", {"https": True}, "h:80", "/rs", "https://h/rs"),
    ("https from the port of http, IPv6", {"https": True}, "[::1]:80", "/rs", "https://[::1]/rs"),
    ("https keeps its own port", {"scheme": "https"}, "h:443", "/rs", "https://h:443/rs"),
    ("http keeps its own port", {"scheme": "http"}, "h:80", "/rs", "http://h:80/rs"),
    ("port", {"port": 80}, "h", "/rs", "http://h:80/rs"),
    ("other port", {"port": 80}, "h:8", "/rs", "http://h:80/rs"),
    ("https and its port", {"https": True, "port": 443}, "h:8", "/rs", "https://h:443/rs"),
    ("port, IPv6", {"https": True, "port": 443}, "[::1]", "/rs", "https://[::1]:443/rs"),
    ("host without the port", {"host": "h.example", "path": "/v2"}, "h:8", "/rs/a?q=1", "http://h.example/v2?q=1"),
    ("path", {"path": "/v2"}, "h", "/rs?x=1", "http://h/v2?x=1"),
    ("path with a query", {"path": "/v2?z=1"}, "h", "/rs?x=1", "http://h/v2?z=1"),
    ("query taken off", {"path": "/v2", "strip_query": True}, "h", "/rs?c", "http://h/v2"),
    ("expression", {"regex_rewrite": RegexRewrite("^/rs/(.*)$", r"/x/\1")}, "h", "/rs/a/b?c", "http://h/x/a/b?c"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "host", "target", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_a_redirect_replaces_the_parts_it_names(fields: dict[str, Any], host: str, target: str, expected: str) -> None:
    made = compiled(route("/rs/" if "prefix_rewrite" in fields else "/rs", Redirect(**fields)))
    path, _, query = target.encode().partition(b"?")
    assert location(made, head(target, host=host), path, query) == expected.encode()


def test_a_prefix_is_replaced_where_the_path_is_matched_by_segments() -> None:
    made = compiled(route(match("/a", PathMatchKind.PATH_SEPARATED_PREFIX), Redirect(prefix_rewrite="/b")))
    assert location(made, head("/a/c"), b"/a/c", b"") == b"http://h/b/c"
    assert location(made, head("/a"), b"/a", b"") == b"http://h/b"

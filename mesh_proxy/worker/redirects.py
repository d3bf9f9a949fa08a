"""The Location of a redirect."""

from mesh_proxy.protocol.http1 import Head
from mesh_proxy.routing.table import CompiledRoute, without_port


def location(route: CompiledRoute, head: Head, path: bytes, query: bytes) -> bytes:
    """The request's URL with the parts that the redirect names replaced; the query is kept (Envoy)."""
    redirect = route.redirect
    assert redirect is not None  # noqa: S101 (the caller asked)
    scheme = redirect.scheme.encode() or (b"https" if redirect.https else b"http")
    host = redirect.host.encode() or head.host
    if redirect.port is not None:
        host = without_port(host) + b":%d" % redirect.port
    elif scheme == b"https" and host.endswith(b":80"):
        host = without_port(host)  # the port of the scheme that it was asked by
    if redirect.path:
        path = redirect.path.encode()
    elif redirect.prefix_rewrite:
        path = redirect.prefix_rewrite.encode() + (b"" if route.whole_rewrite else path[len(route.prefix) :])
    elif route.regex_rewrite is not None:
        path = route.regex_rewrite.apply(path)
    keep_query = b"?" in head.target and not redirect.strip_query and b"?" not in path
    return scheme + b"://" + host + path + (b"?" + query if keep_query else b"")

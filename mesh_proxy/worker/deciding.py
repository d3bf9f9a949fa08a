"""What is decided about a request before it is sent anywhere: its route, the answers that need no host, the path upstream.

Pure: no socket, no time, the random number is an argument; so ``mesh_simulation`` decides by the same lines as a worker.
"""

from collections.abc import Callable, Mapping
from typing import Final

from mesh_proxy import errors
from mesh_proxy.errors import LocalReply
from mesh_proxy.filters import Answer
from mesh_proxy.protocol.http1 import Head
from mesh_proxy.routing.metadata import NOTHING
from mesh_proxy.routing.table import CompiledRoute, RouteTable
from mesh_proxy.worker import redirects

_NO_ROUTE: Final = Answer(errors.ROUTE_NOT_FOUND)


def find_route(
    head: Head, table: RouteTable, random: Callable[[], float], metadata: Mapping[str, object] = NOTHING
) -> CompiledRoute | Answer:
    """The route that an admitted request takes, or the answer to one that takes none; ``metadata`` is what filters have left
    behind."""
    host = table.host(head.host)
    if host is None:
        return _NO_ROUTE
    if host.needs_tls and head.get(b"x-forwarded-proto") != b"https":
        return Answer(errors.TLS_REQUIRED, ((b"location", b"https://" + head.host + head.target),))
    return host.find(head, head.path, head.query, random, metadata) or _NO_ROUTE


def own_answer(route: CompiledRoute, head: Head) -> Answer | None:
    """The answer of a route that redirects or answers by itself; ``None``: the request is to be sent on."""
    if route.redirect is not None:
        location = redirects.location(route, head, head.path, head.query)
        return Answer(LocalReply(route.redirect.code, "", "direct_response"), ((b"location", location),))
    if route.direct is not None:
        reply = LocalReply(route.direct.status, "", "direct_response", route.direct.body)
        return Answer(reply, _created(head)) if reply.status == 201 else Answer(reply)
    return None


def _created(head: Head) -> tuple[tuple[bytes, bytes], ...]:
    """Where what was made is: at the very address (Envoy)."""
    return ((b"location", b"%b://%b%b" % (head.get(b"x-forwarded-proto") or head.scheme, head.host, head.target)),)


def no_cluster(route: CompiledRoute) -> LocalReply:
    """The answer where the cluster of the route's choice does not exist."""
    code = route.action.cluster_not_found_code if route.action is not None else 503
    return errors.CLUSTER_NOT_FOUND._replace(status=code)


def rewritten(route: CompiledRoute, head: Head) -> bytes | None:
    """The target as the route wants it upstream; ``None``: as it is."""
    if route.regex_rewrite is not None:
        path = route.regex_rewrite.apply(head.path)
    elif route.prefix_rewrite:
        path = route.prefix_rewrite + (b"" if route.whole_rewrite else head.path[len(route.prefix) :])
    else:
        return None
    return path + (b"?" + head.query if b"?" in head.target else b"")

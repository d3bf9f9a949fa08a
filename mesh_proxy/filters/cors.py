"""Cross-origin requests (Envoy's ``envoy.filters.http.cors``): answers preflights, adds the fields to answers."""

from collections.abc import Callable

from mesh_api.config import CorsPolicy
from mesh_proxy.authorization import Access
from mesh_proxy.errors import LocalReply
from mesh_proxy.filters.base import Answer, Filter, Verdict
from mesh_proxy.protocol.http1 import Field, Head, field_of
from mesh_proxy.routing.table import CompiledRoute
from mesh_proxy.telemetry.stats import Counters


class Cors(Filter):
    """Acts where the route, or else its virtual host, carries a policy and the request an ``Origin``."""

    def __init__(self, _config: object = None, stats: Counters | None = None) -> None:
        """All that it does is said by routes; ``stats`` are those of the connection manager."""
        self._stats = Counters("") if stats is None else stats

    def concerns(self, route: CompiledRoute | None) -> bool:
        """Where there is a policy, and a host to answer: of the proxy's own answers Envoy says nothing."""
        return route is not None and route.cors is not None and route.action is not None

    def on_request(
        self, head: Head, route: CompiledRoute | None, random: Callable[[], float], access: Access
    ) -> Verdict:
        """A preflight of an allowed origin is answered here; one of another goes on unless the policy stops it."""
        if route is None:
            return None
        policy = route.cors
        origin = head.get(b"origin")
        if policy is None or origin is None:
            return None
        self._stats.add("cors.origin_valid" if _allowed(route, origin) else "cors.origin_invalid")
        if head.method != b"OPTIONS":
            return None
        if head.get(b"access-control-request-method") is None:
            return None
        if not _allowed(route, origin):
            if policy.forward_unmatched_preflights:
                return None
            return Answer(LocalReply(200, "", "cors_response"))
        fields = _fields(policy, origin)
        for name, value in (
            (b"access-control-allow-methods", policy.allow_methods),
            (b"access-control-allow-headers", policy.allow_headers),
            (b"access-control-max-age", policy.max_age),
        ):
            if value:
                fields.append((name, value.encode()))
        return Answer(LocalReply(200, "", "cors_response"), tuple(fields))

    def on_response(self, head: Head, route: CompiledRoute, fields: list[Field]) -> list[Field]:
        """The answer to an allowed origin says so."""
        policy = route.cors
        origin = head.get(b"origin")
        if policy is None or origin is None or not _allowed(route, origin):
            return fields
        added = _fields(policy, origin)
        names = {name for name, _ in added}
        kept = [field for field in fields if field.name not in names]
        return kept + [field_of(name, value) for name, value in added]


def _allowed(route: CompiledRoute, origin: bytes) -> bool:
    return any(test(origin) for test in route.origins)


def _fields(policy: CorsPolicy, origin: bytes) -> list[tuple[bytes, bytes]]:
    found = [(b"access-control-allow-origin", origin)]
    if policy.allow_credentials:
        found.append((b"access-control-allow-credentials", b"true"))
    if policy.expose_headers:
        found.append((b"access-control-expose-headers", policy.expose_headers.encode()))
    return found

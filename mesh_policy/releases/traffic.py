"""Composes statements into objects: one VirtualService and one DestinationRule for a service, one Gateway for a gateway."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from mesh_policy.base import Policy
from mesh_policy.durations import parse_duration
from mesh_policy.matchers import StringMatch
from mesh_policy.networking.answers import Redirect as HttpRedirect
from mesh_policy.networking.destination_rule import (
    DestinationRule,
    DestinationRuleSpec,
    OutlierDetection,
    Subset,
    TrafficPolicy,
)
from mesh_policy.networking.gateway import Gateway, GatewaySpec, Server, ServerPort
from mesh_policy.networking.http_route import HttpMatch, HttpRoute, Retries
from mesh_policy.networking.virtual_service import VirtualService, VirtualServiceSpec
from mesh_policy.releases import statements as said
from mesh_policy.releases.progressive import Release, Versions, versions_of
from mesh_policy.releases.split import ruled, sent_to

if TYPE_CHECKING:
    from mesh_policy.releases.machine import Rollout

S = TypeVar("S", bound=said.Statement)
GATEWAY_NAMESPACE = "istio-system"


class ConflictError(ValueError):
    """Two statements that exclude each other; the message names both."""


class Traffic:
    """Statements about services, expanded together. Raises :class:`ConflictError` where two exclude each other.

    ``gateway_suffix`` ends the names of the Gateways that are made: sets of several owners may publish services at one
    gateway, and each has an object of its own for it.
    """

    def __init__(self, *statements: said.Statement, gateway_suffix: str = "") -> None:
        self._statements = statements
        self._suffix = gateway_suffix
        services = sorted({(s.namespace, s.service) for s in statements})
        self._services = [
            _Service([s for s in statements if (s.namespace, s.service) == key], gateway_suffix) for key in services
        ]
        self._one_service_for_a_hostname()

    def expand(self) -> list[Policy]:
        """The objects: gateways, destination rules, virtual services, each sorted by name."""
        rules = [rule for service in self._services if (rule := service.destination_rule()) is not None]
        routes = [route for service in self._services if (route := service.virtual_service()) is not None]
        return [*self._gateways(), *rules, *routes]

    def rollouts(self) -> list["Rollout"]:
        """The releases that go step by step, each with the other statements about its service."""
        from mesh_policy.releases.machine import Rollout

        found = []
        for release in (s for s in self._statements if isinstance(s, Release) and s.stages):
            others = tuple(s for s in self._statements if s.host == release.host and s is not release)
            found.append(Rollout(release=release, statements=others))
        return found

    def _one_service_for_a_hostname(self) -> None:
        """Rules of two services for one host would be mixed at the gateway, and one of them be ignored in the mesh."""
        owners: dict[str, said.Exposed] = {}
        for exposed in sorted((s for s in self._statements if isinstance(s, said.Exposed)), key=lambda s: s.host):
            owner = owners.setdefault(exposed.hostname.lower(), exposed)
            if owner.host != exposed.host:
                raise ConflictError(
                    f"{exposed.hostname} is the host name of {owner.host} and of {exposed.host}; keep one"
                )

    def _gateways(self) -> list[Gateway]:
        exposed = [s for s in self._statements if isinstance(s, said.Exposed)]
        made = []
        for name in sorted({s.gateway for s in exposed}):
            own = [s for s in exposed if s.gateway == name]
            servers = tuple(_server(port, [s for s in own if s.port == port]) for port in sorted({s.port for s in own}))
            spec = GatewaySpec(selector={"istio": name}, servers=servers)
            made.append(Gateway.of(name + self._suffix, spec, GATEWAY_NAMESPACE))
        return made


def _server(port: int, exposed: Sequence[said.Exposed]) -> Server:
    first = exposed[0]
    for other in exposed:
        if other.bind != first.bind:
            raise ConflictError(f"{first!r} and {other!r}: one port is bound to one address")
    return Server(
        port=ServerPort(number=port, name=f"http-{port}", protocol="HTTP"),
        hosts=tuple(sorted({s.hostname for s in exposed})),
        bind=None if first.bind is None else str(first.bind),
    )


class _Service:
    """All statements about one service."""

    def __init__(self, statements: Sequence[said.Statement], gateway_suffix: str) -> None:
        self._statements = statements
        self._suffix = gateway_suffix
        self._first = statements[0]
        self._versions = self._one_division()
        self._breaker = self._only(said.CircuitBreaker)
        for kind in (said.Timeout, said.Retry, said.Route):
            self._by_path(kind)
        self._check_redirects()
        if self._versions is not None and "/" in (routes := self._by_path(said.Route)):
            raise ConflictError(
                f"{self._first.host}: {self._versions!r} and {routes['/']!r} both say where everything goes; keep one"
            )

    def _one_division(self) -> Versions | None:
        found = versions_of(self._statements)
        if len(found) > 1:
            raise ConflictError(
                f"{self._first.host}: {found[0]!r} and {found[1]!r} both divide the traffic; one release at a time"
            )
        return found[0] if found else None

    def _check_redirects(self) -> None:
        found: dict[tuple[str, tuple[tuple[str, str], ...]], said.Redirect] = {}
        for redirect in self._all(said.Redirect):
            other = found.setdefault((redirect.path, tuple(sorted(redirect.headers.items()))), redirect)
            if other is not redirect:
                raise ConflictError(f"{self._first.host}: Redirect is said twice: {other!r} and {redirect!r}")

    def _all(self, kind: type[S]) -> list[S]:
        return [statement for statement in self._statements if isinstance(statement, kind)]

    def _only(self, kind: type[S]) -> S | None:
        found = self._all(kind)
        if len(found) > 1:
            raise ConflictError(f"{self._first.host}: {kind.__name__} is said twice: {found[0]!r} and {found[1]!r}")
        return found[0] if found else None

    def _by_path(self, kind: type[S]) -> dict[str, S]:
        """Statements of a kind by their path, ``/`` for those without one."""
        found: dict[str, S] = {}
        for statement in self._all(kind):
            path = getattr(statement, "path", None) or "/"
            if path in found:
                raise ConflictError(f"{self._first.host}: {kind.__name__} for {path} is said twice")
            found[path] = statement
        return found

    def destination_rule(self) -> DestinationRule | None:
        """Subsets for the versions that are named, and the circuit breaker."""
        versions = {route.version for route in self._all(said.Route)}
        if self._versions is not None:
            versions |= {*self._versions.versions}
        if not versions and self._breaker is None:
            return None
        spec = DestinationRuleSpec(
            host=self._first.host,
            traffic_policy=self._traffic_policy(),
            subsets=tuple(Subset(name=v, labels={"version": v}) for v in sorted(versions)) or None,
        )
        return DestinationRule.of(self._first.service, spec, self._first.namespace)

    def _traffic_policy(self) -> TrafficPolicy | None:
        if self._breaker is None:
            return None
        return TrafficPolicy(
            outlier_detection=OutlierDetection(
                consecutive_5xx_errors=self._breaker.errors,
                interval=parse_duration(self._breaker.interval),
                base_ejection_time=parse_duration(self._breaker.ejection),
                max_ejection_percent=self._breaker.max_ejection_percent,
            )
        )

    def virtual_service(self) -> VirtualService | None:
        """Redirects first, then the paths from the longest to the shortest, then everything else."""
        routes = [s for s in self._statements if not isinstance(s, said.CircuitBreaker)]
        if not routes:
            return None
        exposed = sorted(self._all(said.Exposed), key=lambda s: s.hostname)
        gateways = sorted({f"{GATEWAY_NAMESPACE}/{s.gateway}{self._suffix}" for s in exposed})
        spec = VirtualServiceSpec(
            hosts=tuple(dict.fromkeys([self._first.host, *(s.hostname for s in exposed)])),
            gateways=("mesh", *gateways) if gateways else None,
            http=(*self._redirects(), *self._paths()),
        )
        made = VirtualService.of(self._first.service, spec, self._first.namespace)
        annotations = self._versions.annotations if self._versions is not None else {}
        if not annotations:
            return made
        return made.model_copy(update={"metadata": made.metadata.model_copy(update={"annotations": annotations})})

    def _redirects(self) -> list[HttpRoute]:
        found = sorted(self._all(said.Redirect), key=lambda s: (-len(s.headers), s.path, sorted(s.headers.items())))
        return [
            HttpRoute(
                match=(
                    HttpMatch(
                        uri=StringMatch(exact=s.path),
                        headers={name: StringMatch(exact=value) for name, value in sorted(s.headers.items())} or None,
                    ),
                ),
                redirect=HttpRedirect(uri=s.to, redirect_code=s.code),
            )
            for s in found
        ]

    def _paths(self) -> list[HttpRoute]:
        timeouts, retries = self._by_path(said.Timeout), self._by_path(said.Retry)
        routes = self._by_path(said.Route)
        paths = sorted({*timeouts, *retries, *routes, "/"}, key=lambda path: (-len(path), path))
        return [rule for path in paths for rule in self._path(path, timeouts, retries, routes)]

    def _path(
        self,
        path: str,
        timeouts: dict[str, said.Timeout],
        retries: dict[str, said.Retry],
        routes: dict[str, said.Route],
    ) -> list[HttpRoute]:
        timeout, retry, route = _nearest(timeouts, path), _nearest(retries, path), _nearest(routes, path)
        match = None if path == "/" else HttpMatch(uri=StringMatch(prefix=path))
        everyone = sent_to(self._first.host, route.version if route is not None else None)
        shape = HttpRoute(route=(everyone,), timeout=_after(timeout), retries=_retries(retry))
        if route is None and self._versions is not None:
            return self._versions.routes(match, shape)
        return [ruled(shape, match, everyone)]


def _nearest(found: dict[str, S], path: str) -> S | None:
    """The statement with the longest path that covers this one."""
    covering = [candidate for candidate in found if path.startswith(candidate)]
    return found[max(covering, key=len)] if covering else None


def _after(timeout: said.Timeout | None) -> timedelta | None:
    return None if timeout is None else parse_duration(timeout.after)


def _retries(retry: said.Retry | None) -> Retries | None:
    if retry is None:
        return None
    if retry.attempts == 0:
        return Retries(attempts=0)
    return Retries(
        attempts=retry.attempts,
        retry_on=retry.on,
        per_try_timeout=parse_duration(retry.per_try) if retry.per_try else None,
    )

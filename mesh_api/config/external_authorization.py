"""Servers that decide about requests and connections (Envoy ``filters.http.ext_authz.v3``,
``filters.network.ext_authz.v3``)."""

from dataclasses import dataclass

from mesh_api.config.authorization import MetadataMatch
from mesh_api.config.matchers import StringMatch
from mesh_api.config.remote_services import GrpcService


@dataclass(frozen=True, slots=True)
class AuthorizationBody:
    """How much of a request's body the server gets: ``max_bytes``, which one that is longer is cut to (``allow_partial``) or
    refused for with 413; ``as_bytes`` rather than as UTF-8."""

    max_bytes: int
    allow_partial: bool = False
    as_bytes: bool = False


@dataclass(frozen=True, slots=True)
class AuthorizationServer:
    """A server that is asked by HTTP: 200 lets the request go on.

    ``path_prefix`` goes before the request's path. Headers are given by what their names match: those of the answer that
    go on to the upstream, of a refusal that go to the client (none: all), and of an answer that does not refuse that go
    to the client. ``headers_to_add`` (pairs) go into what is asked. ``timeout`` in seconds.
    """

    uri: str
    cluster: str
    timeout: float
    path_prefix: str = ""
    headers_to_add: tuple[tuple[str, str], ...] = ()
    upstream_headers: tuple[StringMatch, ...] = ()
    client_headers: tuple[StringMatch, ...] = ()
    client_headers_on_success: tuple[StringMatch, ...] = ()


@dataclass(frozen=True, slots=True)
class ExtAuthzFilter:
    """``envoy.filters.http.ext_authz``: asks one of ``http`` and ``grpc`` about every request, or where ``enabled`` is
    given about those whose metadata match it (Istio: what a shadow rule has marked).

    ``failure_mode_allow``: requests go on where the server fails; otherwise they get ``status_on_error`` (``None``: 403).
    ``allowed_headers`` are those of the request that are sent, by their names (none: Envoy's own choice).
    """

    http: AuthorizationServer | None = None
    grpc: GrpcService | None = None
    failure_mode_allow: bool = False
    status_on_error: int | None = None
    enabled: MetadataMatch | None = None
    allowed_headers: tuple[StringMatch, ...] = ()
    body: AuthorizationBody | None = None


@dataclass(frozen=True, slots=True)
class NetworkExtAuthz:
    """``envoy.filters.network.ext_authz``: the same for connections, which are closed."""

    stat_prefix: str
    grpc: GrpcService
    failure_mode_allow: bool = False
    enabled: MetadataMatch | None = None

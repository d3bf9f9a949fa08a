"""Providers that decide about requests: Envoy's ``ext_authz`` by HTTP and by gRPC (CUSTOM of AuthorizationPolicies)."""

import re
from typing import Annotated

from pydantic import AfterValidator

from mesh_policy.base import Flag, Labels
from mesh_policy.mesh_config.values import NotNegative, Port, ProviderService, Settings, Unsigned

STATUS_CODES = frozenset(
    (0, 100, *range(200, 209), 226, *range(300, 306), 307, 308, *range(400, 418), *range(421, 425), 426, 428, 429, 431)
) | frozenset((*range(500, 509), 510, 511))
"""Those of Envoy (``envoy.type.v3.StatusCode``)."""
_CODE = re.compile("[-+]?[0-9]{1,10}")
_BAD_ESCAPE = re.compile("%(?![0-9a-fA-F]{2})")


def _status(value: str) -> str:
    if value and not (_CODE.fullmatch(value) and int(value) in STATUS_CODES):
        raise ValueError(f"{value!r} is no status that Envoy knows; write for example 403 or 503, in quotes")
    return value


def _path_prefix(value: str) -> str:
    if not value:
        return value
    if not value.startswith("/") or value.startswith("//"):
        raise ValueError(f"{value!r}: a path begins with one `/`")
    path = value.partition("#")[0].partition("?")[0]
    if _BAD_ESCAPE.search(path) or _BAD_ESCAPE.search(value.partition("#")[2]):
        raise ValueError(f"{value!r}: two hexadecimal digits follow a `%`; write %25 for the sign itself")
    if any(ord(letter) < 0x20 or ord(letter) == 0x7F for letter in value):
        raise ValueError(f"{value!r} holds a control character; remove it")
    return value


StatusCode = Annotated[str, AfterValidator(_status)]
"""A status of HTTP, as text; empty for the default."""
PathPrefix = Annotated[str, AfterValidator(_path_prefix)]
"""The beginning of a path, or empty for none."""


class AuthorizerRequestBody(Settings):
    """How the body of a request goes to the authorizer."""

    max_request_bytes: Unsigned = 0
    """Most bytes that are held in memory and sent; a longer body is answered with 413, or is cut where
    ``allow_partial_message`` says so."""
    allow_partial_message: Flag = False
    """Whether a body that is too long is sent as far as it fits, with ``x-envoy-auth-partial-body: true``."""
    pack_as_bytes: Flag = False
    """Whether it goes as bytes rather than as UTF-8; gRPC alone."""


class Authorizer(Settings):
    """What both forms of the protocol have."""

    service: ProviderService
    """The service that decides: ``HOST``, or ``NAMESPACE/HOST`` where the host alone is not enough."""
    port: Port
    """Port of the service."""
    timeout: NotNegative | None = None
    """How long its answer may take before it counts as failed; default 600 s."""
    fail_open: Flag = False
    """Whether requests go on where the service fails or answers 5xx; by default they are refused."""
    clear_route_cache: Flag = False
    """Whether the route is chosen again with the headers that the service added or removed."""
    status_on_error: StatusCode = ""
    """Status that a client gets where the service cannot be reached; default 403."""
    include_request_body_in_check: AuthorizerRequestBody | None = None
    """Whether, and how, the request's body is sent; unset: it is not."""


class HttpAuthorizer(Authorizer):
    """An authorizer that is asked by HTTP: 200 lets the request through.

    Names of headers are exact, or end or begin with ``*``.
    """

    path_prefix: PathPrefix = ""
    """What is put before the path of the request that is asked about."""
    include_headers_in_check: tuple[str, ...] = ()
    """The old name of ``include_request_headers_in_check``."""
    include_request_headers_in_check: tuple[str, ...] = ()
    """Headers of the request that are sent, besides Host, Method, Path and Content-Length, which always are."""
    include_additional_headers_in_check: Labels | None = None
    """Headers with fixed values that are sent, in place of the request's own of these names."""
    headers_to_upstream_on_allow: tuple[str, ...] = ()
    """Headers of the answer that go on to the service with the request, in place of those of these names."""
    headers_to_downstream_on_deny: tuple[str, ...] = ()
    """Headers of a refusal that go to the client; unset: all but Authority."""
    headers_to_downstream_on_allow: tuple[str, ...] = ()
    """Headers of the answer that are added to the response of a request that was let through."""


class GrpcAuthorizer(Authorizer):
    """An authorizer that is asked by gRPC (``envoy.service.auth.v3``)."""

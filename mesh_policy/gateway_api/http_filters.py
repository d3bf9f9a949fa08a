"""Filters of HTTPRoute: those it shares with GRPCRoute, redirects, rewrites, CORS, external authorization."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, WrapValidator, model_validator

from mesh_policy.base import Flag, Model, Port
from mesh_policy.gateway_api.backend_refs import Backend
from mesh_policy.gateway_api.constraints import Items, Text
from mesh_policy.gateway_api.filters import (
    ExtensionRefFilter,
    RequestHeaderModifierFilter,
    RequestMirrorFilter,
    ResponseHeaderModifierFilter,
    repeated,
)
from mesh_policy.gateway_api.names import PATH, HeaderName, Int64, Positive, PreciseHostname
from mesh_policy.gateway_api.refusals import Refusal, refuse
from mesh_policy.gateway_api.tagged import Choice, by_type

Replacement = Annotated[str, Text("a path", most=1024, least=0)]


class ReplaceFullPath(Choice):
    """Replaces the whole path."""

    type: Literal["ReplaceFullPath"] = "ReplaceFullPath"
    replace_full_path: Replacement
    """What stands in place of the whole path; at most 1024 characters."""


class ReplacePrefixMatch(Choice):
    """Replaces the matched prefix. The rule must have exactly one match, by ``PathPrefix``."""

    type: Literal["ReplacePrefixMatch"] = "ReplacePrefixMatch"
    replace_prefix_match: Replacement
    """What stands in place of the matched prefix, at most 1024 characters: with ``/x`` for ``/a``, ``/a/b`` becomes
    ``/x/b``. Empty and ``/`` take the prefix away."""


PathModifier = Annotated[
    ReplaceFullPath | ReplacePrefixMatch, WrapValidator(by_type(ReplaceFullPath, ReplacePrefixMatch))
]
"""How a path is changed."""


class RequestRedirect(Model):
    """Where a redirect leads."""

    scheme: Literal["http", "https"] | None = None
    """``http`` or ``https``; default that of the request."""
    hostname: PreciseHostname | None = None
    """Host that clients are sent to, without wildcard; default that of the request."""
    path: PathModifier | None = None
    """How the path changes; unset, it stays."""
    port: Port | None = None
    """Port that clients are sent to; default that of a given ``scheme`` (80 or 443), else the listener's."""
    status_code: Literal[301, 302, 303, 307, 308] | None = None
    """Status of the answer; default 302."""


class UrlRewrite(Model):
    """Changes of host and path on the way to the backend."""

    hostname: PreciseHostname | None = None
    """Host that the backend is asked for, without wildcard; default that of the request."""
    path: PathModifier | None = None
    """How the path changes; unset, it stays."""


def _star_alone(value: tuple[str, ...]) -> tuple[str, ...]:
    if "*" in value and len(value) > 1:
        refuse(value, [((value.index("*"),), "`*` stands for all and must be alone; keep it, or the others")])
    return value


Origin = Annotated[
    str,
    Text(
        "an origin; write https://HOST, perhaps with *. before the host or a port after it, or `*`",
        r"(^\*$)|(^(http(s)?):\/\/(((\*\.)?([a-zA-Z0-9\-]+\.)*[a-zA-Z0-9-]+|\*)(:([0-9]{1,5}))?)$)",
    ),
]
Method = Literal["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]
CorsMethod = Literal["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "*"]


class Cors(Model):
    """Cross-origin rules."""

    allow_origins: Annotated[tuple[Origin, ...], Items(64, key=""), AfterValidator(_star_alone)] | None = None
    """Origins whose scripts may ask, at most 64: ``https://HOST``, perhaps with ``*.`` before the host or a port after
    it. ``*`` alone stands for all; unset, none may."""
    allow_credentials: Flag | None = None
    """Whether cookies and the like may be sent; default no."""
    allow_methods: Annotated[tuple[CorsMethod, ...], Items(9, key=""), AfterValidator(_star_alone)] | None = None
    """Methods that are allowed besides GET, HEAD and POST, which always are; ``*`` alone stands for all."""
    allow_headers: Annotated[tuple[HeaderName, ...], Items(64, key=""), AfterValidator(_star_alone)] | None = None
    """Headers that requests may carry besides those that browsers always may send, at most 64; ``*`` alone stands for
    all."""
    expose_headers: Annotated[tuple[HeaderName, ...], Items(64, key="")] | None = None
    """Headers of answers that scripts may read besides the common ones (such as ``Content-Type``), at most 64; ``*``
    stands for all, but not together with credentials."""
    max_age: Positive | None = None
    """How many seconds a browser may keep the answer to its preflight; at least 1, default 5."""


HeaderNames = Annotated[tuple[str, ...], Items(64, key="")]


class GrpcAuth(Model):
    """What an authorization server is told by gRPC."""

    allowed_headers: HeaderNames | None = None
    """Names of the request's headers that the server is told, at most 64; unset or empty, all."""


class HttpAuth(Model):
    """What an authorization server is told by HTTP, and what of its answer goes on."""

    path: Annotated[str, Text("a path", PATH, most=1024, least=0)] | None = None
    """Prefix that is put before the request's path when the server is asked; default none."""
    allowed_headers: HeaderNames | None = None
    """Names of the request's headers that the server is told, at most 64, besides Host, method, path, Content-Length
    and Authorization; unset or empty, no others."""
    allowed_response_headers: HeaderNames | None = None
    """Names of headers of the server's answer that are put into the request to the backend, at most 64; unset or empty,
    all but Host."""


class ForwardBody(Model):
    """How much of a request's body the authorization server is sent."""

    max_size: Int64 | None = None
    """Most bytes of the body that are sent; default 0, none. Whether a longer body is cut or refused, the Gateway API
    leaves open."""


class ExternalAuth(Model):
    """An authorization server, which is asked before a request goes on."""

    protocol: Literal["HTTP", "GRPC"]
    """How the server is asked: ``GRPC`` by Envoy's ext_authz, ``HTTP`` by a plain request, where 200 allows and every
    other status refuses."""
    backend_ref: Backend
    """The authorization server, which must speak ``protocol`` at that port. Where it cannot be asked, requests are
    refused."""
    grpc: GrpcAuth | None = None
    """What the server is told by gRPC; required with protocol ``GRPC`` (``{}`` takes the defaults), excluded with
    ``HTTP``."""
    http: HttpAuth | None = None
    """What the server is told by HTTP; required with protocol ``HTTP`` (``{}`` takes the defaults), excluded with
    ``GRPC``."""
    forward_body: ForwardBody | None = None
    """How much of the request's body the server is sent; default none."""

    @model_validator(mode="after")
    def _of_protocol(self) -> Self:
        own, other = ("grpc", "http") if self.protocol == "GRPC" else ("http", "grpc")
        refusals: list[Refusal] = []
        if getattr(self, own) is None:
            refusals.append(((own,), f"is required with protocol {self.protocol}; {{}} takes the defaults"))
        if getattr(self, other) is not None:
            refusals.append(((other,), f"does not go with protocol {self.protocol}; remove it, or change the protocol"))
        refuse(self, refusals)
        return self


class RequestRedirectFilter(Choice):
    """Answers with a redirect."""

    type: Literal["RequestRedirect"] = "RequestRedirect"
    request_redirect: RequestRedirect
    """Where clients are sent. A rule with it has no backends, and no URLRewrite."""


class UrlRewriteFilter(Choice):
    """Changes host and path."""

    type: Literal["URLRewrite"] = "URLRewrite"
    url_rewrite: UrlRewrite
    """What changes on the way to the backend; excludes RequestRedirect."""


class CorsFilter(Choice):
    """Applies cross-origin rules."""

    type: Literal["CORS"] = "CORS"
    cors: Cors
    """Which other origins may ask, and for what. Istio does not pass preflights of others on to the backend."""


class ExternalAuthFilter(Choice):
    """Asks an authorization server."""

    type: Literal["ExternalAuth"] = "ExternalAuth"
    external_auth: ExternalAuth
    """Which server is asked, and what it is told. Istio does not know this filter, and takes nothing of a route with
    it."""


_CHOICES = (
    RequestHeaderModifierFilter,
    ResponseHeaderModifierFilter,
    RequestMirrorFilter,
    RequestRedirectFilter,
    UrlRewriteFilter,
    ExtensionRefFilter,
    CorsFilter,
    ExternalAuthFilter,
)
HttpFilter = Annotated[
    RequestHeaderModifierFilter
    | ResponseHeaderModifierFilter
    | RequestMirrorFilter
    | RequestRedirectFilter
    | UrlRewriteFilter
    | ExtensionRefFilter
    | CorsFilter
    | ExternalAuthFilter,
    WrapValidator(by_type(*_CHOICES)),
]
"""One filter of an HTTPRoute."""
_ONCE = ("CORS", "RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite")


def _fit(value: tuple[HttpFilter, ...]) -> tuple[HttpFilter, ...]:
    types = [item.type for item in value]
    refusals = repeated([*types], _ONCE)
    if "RequestRedirect" in types and "URLRewrite" in types:
        refusals.append(((types.index("URLRewrite"), "type"), "URLRewrite excludes RequestRedirect; keep one"))
    refuse(value, refusals)
    return value


HttpFilters = Annotated[tuple[HttpFilter, ...], Items(16), AfterValidator(_fit)]
"""At most 16 filters; but RequestMirror, ExtensionRef and ExternalAuth, each type once."""

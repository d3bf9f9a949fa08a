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
    """Puts ``replace_full_path`` in place of the whole path."""

    type: Literal["ReplaceFullPath"] = "ReplaceFullPath"
    replace_full_path: Replacement


class ReplacePrefixMatch(Choice):
    """Puts ``replace_prefix_match`` in place of the prefix that the rule's one ``PathPrefix`` match found."""

    type: Literal["ReplacePrefixMatch"] = "ReplacePrefixMatch"
    replace_prefix_match: Replacement


PathModifier = Annotated[
    ReplaceFullPath | ReplacePrefixMatch, WrapValidator(by_type(ReplaceFullPath, ReplacePrefixMatch))
]
"""How a path is changed."""


class RequestRedirect(Model):
    """Answers with a redirect; what is unset stays as in the request.

    ``port`` is by default that of a given ``scheme``, else the listener's; ``status_code`` is 302.
    """

    scheme: Literal["http", "https"] | None = None
    hostname: PreciseHostname | None = None
    path: PathModifier | None = None
    port: Port | None = None
    status_code: Literal[301, 302, 303, 307, 308] | None = None


class UrlRewrite(Model):
    """Changes host and path on the way to the backend."""

    hostname: PreciseHostname | None = None
    path: PathModifier | None = None


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
    """Cross-origin rules; ``max_age`` is in seconds, by default 5. A ``*`` must be alone in its list."""

    allow_origins: Annotated[tuple[Origin, ...], Items(64, key=""), AfterValidator(_star_alone)] | None = None
    allow_credentials: Flag | None = None
    allow_methods: Annotated[tuple[CorsMethod, ...], Items(9, key=""), AfterValidator(_star_alone)] | None = None
    allow_headers: Annotated[tuple[HeaderName, ...], Items(64, key=""), AfterValidator(_star_alone)] | None = None
    expose_headers: Annotated[tuple[HeaderName, ...], Items(64, key="")] | None = None
    max_age: Positive | None = None


HeaderNames = Annotated[tuple[str, ...], Items(64, key="")]


class GrpcAuth(Model):
    """What a gRPC authorization server is told: the headers of ``allowed_headers``; unset means all."""

    allowed_headers: HeaderNames | None = None


class HttpAuth(Model):
    """How an HTTP authorization server is asked: below ``path``, with ``allowed_headers`` (and those always sent).

    Of its answer, ``allowed_response_headers`` go on to the backend; unset means all.
    """

    path: Annotated[str, Text("a path", PATH, most=1024, least=0)] | None = None
    allowed_headers: HeaderNames | None = None
    allowed_response_headers: HeaderNames | None = None


class ForwardBody(Model):
    """How much of the body is sent along: ``max_size`` in bytes; 0 or unset, none of it."""

    max_size: Int64 | None = None


class ExternalAuth(Model):
    """Asks ``backend_ref`` before a request goes on, by Envoy's ext_authz (``GRPC``) or plain ``HTTP``."""

    protocol: Literal["HTTP", "GRPC"]
    backend_ref: Backend
    grpc: GrpcAuth | None = None
    http: HttpAuth | None = None
    forward_body: ForwardBody | None = None

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


class UrlRewriteFilter(Choice):
    """Changes host and path."""

    type: Literal["URLRewrite"] = "URLRewrite"
    url_rewrite: UrlRewrite


class CorsFilter(Choice):
    """Applies cross-origin rules."""

    type: Literal["CORS"] = "CORS"
    cors: Cors


class ExternalAuthFilter(Choice):
    """Asks an authorization server."""

    type: Literal["ExternalAuth"] = "ExternalAuth"
    external_auth: ExternalAuth


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

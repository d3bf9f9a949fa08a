"""Tokens of end users (``filters.http.jwt_authn.v3.JwtAuthentication``)."""

from typing import Any, Final

from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2 as route_pb2
from envoy.extensions.filters.http.jwt_authn.v3 import config_pb2 as jwt_pb2

from mesh_api.config.tokens import (
    JwtAllOf,
    JwtAnyOf,
    JwtAuthnFilter,
    JwtHeader,
    JwtMayBeMissing,
    JwtProvider,
    JwtRequired,
    JwtRequirement,
)
from mesh_api.xds.errors import EncodeError
from mesh_api.xds.fields import Fields

MESSAGE: Final = jwt_pb2.JwtAuthentication
EVERY_PATH: Final = "/"


def encode_jwt_authn(config: JwtAuthnFilter) -> Any:
    """``JwtAuthentication`` with one rule, for every request."""
    names = [provider.name for provider in config.providers]
    if names != sorted(set(names)):
        raise EncodeError("the providers of tokens must be sorted by name, and each name be there once")
    rule = jwt_pb2.RequirementRule(
        match=route_pb2.RouteMatch(prefix=EVERY_PATH), requires=_encode_requirement(config.requirement)
    )
    return jwt_pb2.JwtAuthentication(
        providers={provider.name: _encode_provider(provider) for provider in config.providers},
        rules=[rule],
        bypass_cors_preflight=config.bypass_cors_preflight,
    )


def _encode_provider(provider: JwtProvider) -> Any:
    claims = provider.space_delimited_claims
    return jwt_pb2.JwtProvider(
        issuer=provider.issuer,
        local_jwks=base_pb2.DataSource(inline_string=provider.jwks),
        audiences=provider.audiences,
        forward=provider.forward,
        from_headers=[jwt_pb2.JwtHeader(name=one.name, value_prefix=one.prefix) for one in provider.from_headers],
        from_params=provider.from_params,
        from_cookies=provider.from_cookies,
        forward_payload_header=provider.forward_payload_header,
        payload_in_metadata=provider.payload_in_metadata,
        normalize_payload_in_metadata=(
            jwt_pb2.JwtProvider.NormalizePayload(space_delimited_claims=claims) if claims else None
        ),
        claim_to_headers=[
            jwt_pb2.JwtClaimToHeader(header_name=header, claim_name=claim)
            for header, claim in provider.claim_to_headers
        ],
        clear_route_cache=provider.clear_route_cache,
    )


def _encode_requirement(requirement: JwtRequirement) -> Any:
    message = jwt_pb2.JwtRequirement()
    if isinstance(requirement, JwtRequired):
        message.provider_name = requirement.provider
    elif isinstance(requirement, JwtMayBeMissing):
        message.allow_missing.SetInParent()
    else:
        group = message.requires_any if isinstance(requirement, JwtAnyOf) else message.requires_all
        group.requirements.extend(map(_encode_requirement, requirement.requirements))
    return message


def decode_jwt_authn(fields: Fields) -> JwtAuthnFilter:
    """From ``JwtAuthentication``; rules for some paths alone are errors."""
    with fields as f:
        entries = f.take("providers")
        rules = [_decode_rule(rule) for rule in f.children("rules")]
        if len(rules) != 1:
            raise f.error("rules", "only one, for every path, is supported")
        return JwtAuthnFilter(
            tuple(_decode_provider(name, f.nested(entries[name], f'providers["{name}"]')) for name in sorted(entries)),
            rules[0],
            f.flag("bypass_cors_preflight"),
        )


def _decode_rule(fields: Fields) -> JwtRequirement:
    with fields as f:
        with f.child("match") as match:
            if match.oneof("path_specifier") != "prefix" or match.text("prefix") != EVERY_PATH:
                raise match.error("", "only every path is supported")
        if f.oneof("requirement_type") != "requires":
            raise f.error("", "only requires is supported")
        return _decode_requirement(f.child("requires"))


def _decode_requirement(fields: Fields) -> JwtRequirement:
    with fields as f:
        kind = f.oneof("requires_type")
        if kind == "provider_name":
            return JwtRequired(f.text(kind))
        if kind == "allow_missing":
            f.nothing_in(kind)
            return JwtMayBeMissing()
        if kind not in ("requires_any", "requires_all"):
            raise f.error("", f"{kind or 'a missing requirement'} is not supported")
        with f.child(kind) as group:
            found = tuple(_decode_requirement(one) for one in group.children("requirements"))
        return JwtAnyOf(found) if kind == "requires_any" else JwtAllOf(found)


def _decode_provider(name: str, fields: Fields) -> JwtProvider:
    with fields as f:
        if f.oneof("jwks_source_specifier") != "local_jwks":
            raise f.error("", "only local_jwks is supported")
        with f.child("local_jwks") as source:
            if source.oneof("specifier") != "inline_string":
                raise source.error("", "only inline_string is supported")
            jwks = source.text("inline_string")
        with f.child("normalize_payload_in_metadata") as normal:
            claims = normal.texts("space_delimited_claims")
        return JwtProvider(
            name,
            issuer=f.text("issuer"),
            jwks=jwks,
            audiences=f.texts("audiences"),
            forward=f.flag("forward"),
            from_headers=tuple(_decode_header(header) for header in f.children("from_headers")),
            from_params=f.texts("from_params"),
            from_cookies=f.texts("from_cookies"),
            forward_payload_header=f.text("forward_payload_header"),
            payload_in_metadata=f.text("payload_in_metadata"),
            space_delimited_claims=claims,
            claim_to_headers=tuple(_decode_claim(claim) for claim in f.children("claim_to_headers")),
            clear_route_cache=f.flag("clear_route_cache"),
        )


def _decode_header(fields: Fields) -> JwtHeader:
    with fields as f:
        return JwtHeader(f.text("name"), f.text("value_prefix"))


def _decode_claim(fields: Fields) -> tuple[str, str]:
    with fields as f:
        return f.text("header_name"), f.text("claim_name")

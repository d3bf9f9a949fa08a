"""Tokens of end users (``filters.http.jwt_authn.v3.JwtAuthentication``)."""

from collections.abc import Mapping
from typing import Any, Final

from envoy.config.core.v3 import base_pb2
from envoy.extensions.filters.http.jwt_authn.v3 import config_pb2 as jwt_pb2

from mesh_api.config.tokens import (
    JwtAllOf,
    JwtAnyOf,
    JwtAuthnFilter,
    JwtHeader,
    JwtMayBeMissing,
    JwtMayFail,
    JwtProvider,
    JwtRequired,
    JwtRequirement,
    JwtRule,
    RemoteJwks,
)
from mesh_api.xds.errors import EncodeError
from mesh_api.xds.fields import Fields
from mesh_api.xds.matchers import decode_string, encode_string
from mesh_api.xds.remote_services import decode_uri, encode_uri
from mesh_api.xds.route_matches import decode_route_match, encode_route_match
from mesh_api.xds.values import duration

MESSAGE: Final = jwt_pb2.JwtAuthentication


def encode_jwt_authn(config: JwtAuthnFilter) -> Any:
    """``JwtAuthentication``."""
    names = [provider.name for provider in config.providers]
    if names != sorted(set(names)):
        raise EncodeError("the providers of tokens must be sorted by name, and each name be there once")
    return jwt_pb2.JwtAuthentication(
        providers={provider.name: _encode_provider(provider) for provider in config.providers},
        rules=list(map(_encode_rule, config.rules)),
        bypass_cors_preflight=config.bypass_cors_preflight,
        strip_failure_response=config.strip_failure_response,
    )


def _encode_rule(rule: JwtRule) -> Any:
    wanted = None if rule.requirement is None else _encode_requirement(rule.requirement)
    return jwt_pb2.RequirementRule(match=encode_route_match(rule.match), requires=wanted)


def _encode_provider(provider: JwtProvider) -> Any:
    claims = provider.space_delimited_claims
    return jwt_pb2.JwtProvider(
        issuer=provider.issuer,
        **_encode_keys(provider),
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
        pad_forward_payload_header=provider.pad_forward_payload_header,
        header_in_metadata=provider.header_in_metadata,
        clock_skew_seconds=provider.clock_skew,
        require_expiration=provider.require_expiration,
        max_lifetime=None if provider.max_lifetime is None else duration(provider.max_lifetime),
        subjects=None if provider.subject is None else encode_string(provider.subject),
    )


def _encode_keys(provider: JwtProvider) -> dict[str, Any]:
    remote = provider.remote
    if remote is None:
        return {"local_jwks": base_pb2.DataSource(inline_string=provider.jwks)}
    made = jwt_pb2.RemoteJwks(
        http_uri=encode_uri(remote.uri, remote.cluster, remote.timeout), cache_duration=duration(remote.cache_duration)
    )
    if remote.async_fetch:
        made.async_fetch.fast_listener = remote.fast_listener
        made.async_fetch.SetInParent()
        if remote.failed_refetch is not None:
            made.async_fetch.failed_refetch_duration.CopyFrom(duration(remote.failed_refetch))
    return {"remote_jwks": made}


def _encode_requirement(requirement: JwtRequirement) -> Any:
    message = jwt_pb2.JwtRequirement()
    if isinstance(requirement, JwtRequired) and requirement.audiences:
        message.provider_and_audiences.provider_name = requirement.provider
        message.provider_and_audiences.audiences.extend(requirement.audiences)
    elif isinstance(requirement, JwtRequired):
        message.provider_name = requirement.provider
    elif isinstance(requirement, JwtMayBeMissing):
        message.allow_missing.SetInParent()
    elif isinstance(requirement, JwtMayFail):
        message.allow_missing_or_failed.SetInParent()
    else:
        group = message.requires_any if isinstance(requirement, JwtAnyOf) else message.requires_all
        group.requirements.extend(map(_encode_requirement, requirement.requirements))
    return message


def decode_jwt_authn(fields: Fields) -> JwtAuthnFilter:
    """From ``JwtAuthentication``; a requirement that is named becomes what the name stands for."""
    with fields as f:
        entries = f.take("providers")
        table = f.take("requirement_map")
        named = {name: _decode_requirement(f.nested(table[name], f'requirement_map["{name}"]')) for name in table}
        return JwtAuthnFilter(
            tuple(_decode_provider(name, f.nested(entries[name], f'providers["{name}"]')) for name in sorted(entries)),
            tuple(_decode_rule(rule, named) for rule in f.children("rules")),
            f.flag("bypass_cors_preflight"),
            f.flag("strip_failure_response"),
        )


def _decode_rule(fields: Fields, named: Mapping[str, JwtRequirement]) -> JwtRule:
    with fields as f:
        match = decode_route_match(f.child("match"))
        kind = f.oneof("requirement_type")
        if kind is None:
            return JwtRule(None, match)
        if kind == "requires":
            return JwtRule(_decode_requirement(f.child(kind)), match)
        name = f.text(kind)
        if name not in named:
            raise f.error(kind, f"there is no requirement {name!r}")
        return JwtRule(named[name], match)


def _decode_requirement(fields: Fields) -> JwtRequirement:
    with fields as f:
        kind = f.oneof("requires_type")
        if kind == "provider_name":
            return JwtRequired(f.text(kind))
        if kind == "provider_and_audiences":
            with f.child(kind) as one:
                return JwtRequired(one.text("provider_name"), one.texts("audiences"))
        if kind == "allow_missing":
            f.nothing_in(kind)
            return JwtMayBeMissing()
        if kind == "allow_missing_or_failed":
            f.nothing_in(kind)
            return JwtMayFail()
        if kind not in ("requires_any", "requires_all"):
            raise f.error("", f"{kind or 'a missing requirement'} is not supported")
        with f.child(kind) as group:
            found = tuple(_decode_requirement(one) for one in group.children("requirements"))
        return JwtAnyOf(found) if kind == "requires_any" else JwtAllOf(found)


def _decode_provider(name: str, fields: Fields) -> JwtProvider:
    with fields as f:
        jwks, remote = _decode_keys(f)
        with f.child("normalize_payload_in_metadata") as normal:
            claims = normal.texts("space_delimited_claims")
        subject = f.optional("subjects")
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
            pad_forward_payload_header=f.flag("pad_forward_payload_header"),
            header_in_metadata=f.text("header_in_metadata"),
            clock_skew=f.number("clock_skew_seconds"),
            require_expiration=f.flag("require_expiration"),
            max_lifetime=f.duration("max_lifetime"),
            subject=None if subject is None else decode_string(subject),
            remote=remote,
        )


def _decode_keys(f: Fields) -> tuple[str, RemoteJwks | None]:
    kind = f.oneof("jwks_source_specifier")
    if kind == "remote_jwks":
        return "", _decode_remote(f.child(kind))
    if kind != "local_jwks":
        raise f.error("", f"{kind or 'a provider without keys'} is not supported")
    with f.child(kind) as source:
        if source.oneof("specifier") != "inline_string":
            raise source.error("", "only inline_string is supported")
        return source.text("inline_string"), None


def _decode_remote(fields: Fields) -> RemoteJwks:
    with fields as f:
        uri, cluster, timeout = decode_uri(f.child("http_uri"))
        ahead = f.optional("async_fetch")
        fast, again = False, None
        if ahead is not None:
            with ahead as fetch:
                fast, again = fetch.flag("fast_listener"), fetch.duration("failed_refetch_duration")
        return RemoteJwks(uri, cluster, timeout, f.duration("cache_duration"), ahead is not None, fast, again)


def _decode_header(fields: Fields) -> JwtHeader:
    with fields as f:
        return JwtHeader(f.text("name"), f.text("value_prefix"))


def _decode_claim(fields: Fields) -> tuple[str, str]:
    with fields as f:
        return f.text("header_name"), f.text("claim_name")

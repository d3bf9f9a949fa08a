"""RequestAuthentication to Envoy's filter of tokens (Istio, ``pilot/pkg/security/authn/policy_applier.go``)."""

from collections.abc import Sequence
from typing import Final

from mesh_api.config import (
    JwtAllOf,
    JwtAnyOf,
    JwtAuthnFilter,
    JwtHeader,
    JwtMayBeMissing,
    JwtProvider,
    JwtRequired,
    JwtRequirement,
)
from mesh_api.config import JwtRule as TokenRule
from mesh_api.config.authorization import JWT_PAYLOAD
from mesh_control.compiler import request_authentication
from mesh_control.compiler.scope import Scope
from mesh_control.issuers import place_of
from mesh_control.world import World
from mesh_policy.security.request_authentication import JwtRule

SPACE_DELIMITED: Final = frozenset({"permission", "scope"})
"""Claims that are lists with blanks, whatever a rule says."""

NOBODYS_KEYS: Final = """{
  "keys": [
    {
      "kty": "RSA",
      "e": "AQAB",
      "n": "0xObjM0UvS_oaazjpEYlAbwctEJ4L8pH3OuTb7qth7gUwqet-EzQB4dgFdvSdMgrLnSncQGRjpEYz3F3viIbH-3EN3TxSlPNviHxeOdyiBVfumN8dMxbLvVJUpfNOnvmMxJcl-8NNjAwcOjk4otSALaYgYYyOPyvKtgVdrQr-FoubWX4yrjxW-MJ2-7OBeepUUNOsVwGV23YX03sVkkyvY3otRflkBcY3_HKpBxJl9wk2GyOShN4_PNUF9-vwfnvOXMbCDX-w4PTef4geeb_GiT40YCKHTKMSPVanGRn5GExIWmki-mmqh94-mPTJyBR74ShspL3BxPZitDL574T1w"
    }
  ]
}"""  # noqa: E501 (Istio's own text, to the letter)
"""Keys that stand for those that are not there yet: whose private part nobody has, so that no token fits (Istio)."""


def http_filters(scope: Scope) -> tuple[JwtAuthnFilter, ...]:
    """For requests to the proxy's workload."""
    policies = request_authentication.policies_of(scope)

    def made() -> tuple[JwtAuthnFilter, ...]:
        rules = request_authentication.rules_of(scope)
        return (_filter(scope.world, rules, scope.proxy.is_gateway),) if rules else ()

    return scope.shared(("tokens", scope.proxy.is_gateway), policies, made) if policies else ()


def _filter(world: World, rules: Sequence[JwtRule], gateway: bool) -> JwtAuthnFilter:
    """One provider for each rule. A token that is there must be valid; routes of gateways may ask for claims."""
    made = [_provider(f"origins-{place}", world, rule, gateway) for place, rule in enumerate(rules)]
    providers = tuple(sorted(made, key=lambda provider: provider.name))
    rule = TokenRule(_requirement([one.name for one in made]))
    return JwtAuthnFilter(providers, (rule,), bypass_cors_preflight=True)


def _requirement(names: list[str]) -> JwtRequirement:
    """Of several any will do, as they may look at one place; where all find nothing there is no token."""
    each = [JwtAnyOf((JwtRequired(name), JwtMayBeMissing())) for name in names]
    if len(each) == 1:
        return each[0]
    return JwtAnyOf((*map(JwtRequired, names), JwtAllOf(tuple(each))))


def _provider(name: str, world: World, rule: JwtRule, gateway: bool) -> JwtProvider:
    return JwtProvider(
        name,
        issuer=rule.issuer or "",
        jwks=rule.jwks or _known_keys(world, rule),
        audiences=rule.audiences or (),
        forward=bool(rule.forward_original_token),
        from_headers=tuple(JwtHeader(header.name, header.prefix or "") for header in rule.from_headers or ()),
        from_params=rule.from_params or (),
        from_cookies=rule.from_cookies or (),
        forward_payload_header=rule.output_payload_to_header or "",
        payload_in_metadata=JWT_PAYLOAD,
        space_delimited_claims=tuple(sorted(SPACE_DELIMITED | set(rule.space_delimited_claims or ()))),
        claim_to_headers=tuple((item.header, item.claim) for item in rule.output_claim_to_headers or ()),
        clear_route_cache=gateway,
    )


def _known_keys(world: World, rule: JwtRule) -> str:
    place = place_of(rule)
    return NOBODYS_KEYS if place is None else world.key_sets.get(place.key, NOBODYS_KEYS)

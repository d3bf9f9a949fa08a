"""The scenario ``authentication``: book store and warehouse take nothing in plain text, the book store answers users with a
token of the demo's issuer alone, and the warehouse the warranty service alone, so that the order service is refused."""

from typing import Final

from mesh_policy import AuthorizationPolicy, PeerAuthentication, Policy, RequestAuthentication
from mesh_policy.security.authorization_policy import AuthorizationPolicySpec, From, Rule, Source
from mesh_policy.security.peer_authentication import MutualTls, PeerAuthenticationSpec
from mesh_policy.security.request_authentication import JwtRule, RequestAuthenticationSpec
from mesh_policy.selectors import WorkloadSelector

ISSUER: Final = "https://issuer.demo.meshwright"
KEYS: Final = (
    '{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "demo", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}'
)
"""A key that everybody knows (RFC 8037, appendix A): ``mesh observe`` signs with it, and it proves nothing elsewhere."""
ALLOWED: Final = "cluster.local/ns/default/sa/warranty"


def _of(service: str) -> WorkloadSelector:
    return WorkloadSelector(match_labels={"app": service})


def _strict(service: str) -> PeerAuthentication:
    return PeerAuthentication.of(service, PeerAuthenticationSpec(selector=_of(service), mtls=MutualTls(mode="STRICT")))


def _only(service: str, source: Source) -> AuthorizationPolicy:
    spec = AuthorizationPolicySpec(selector=_of(service), rules=(Rule(from_=(From(source=source),)),))
    return AuthorizationPolicy.of(service, spec)


POLICIES: Final[tuple[Policy, ...]] = (
    _strict("book-store"),
    _strict("warehouse"),
    RequestAuthentication.of(
        "book-store",
        RequestAuthenticationSpec(selector=_of("book-store"), jwt_rules=(JwtRule(issuer=ISSUER, jwks=KEYS),)),
    ),
    _only("book-store", Source(request_principals=(f"{ISSUER}/*",))),
    _only("warehouse", Source(principals=(ALLOWED,))),
)

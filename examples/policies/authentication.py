"""Who may read and who may buy: plain text is refused, tokens are checked, and buying needs a token with the role `customer`.

mesh simulate examples/policies/book-store.yaml authentication.yaml --from client http://book-store:8080/api/v1/books
"""

from mesh_policy import AuthorizationPolicy, PeerAuthentication, RequestAuthentication, dump
from mesh_policy.security.authorization_policy import AuthorizationPolicySpec, From, Operation, Rule, Source, To
from mesh_policy.security.conditions import Condition
from mesh_policy.security.peer_authentication import MutualTls, PeerAuthenticationSpec
from mesh_policy.security.request_authentication import JwtRule, RequestAuthenticationSpec
from mesh_policy.selectors import WorkloadSelector

BOOK_STORE = WorkloadSelector(match_labels={"app": "book-store"})
KEYS = (
    '{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "example", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}'
)
"""The issuer's public keys (RFC 8037, appendix A); in earnest, give ``jwks_uri`` instead."""

POLICIES = [
    PeerAuthentication.of("book-store", PeerAuthenticationSpec(selector=BOOK_STORE, mtls=MutualTls(mode="STRICT"))),
    RequestAuthentication.of(
        "book-store",
        RequestAuthenticationSpec(
            selector=BOOK_STORE, jwt_rules=(JwtRule(issuer="https://issuer.example", jwks=KEYS),)
        ),
    ),
    AuthorizationPolicy.of(
        "book-store",
        AuthorizationPolicySpec(
            selector=BOOK_STORE,
            rules=(
                Rule(to=(To(operation=Operation(methods=("GET",), paths=("/api/*",))),)),
                Rule(
                    from_=(From(source=Source(request_principals=("https://issuer.example/*",))),),
                    to=(To(operation=Operation(methods=("POST",), paths=("/api/v1/orders",))),),
                    when=(Condition(key="request.auth.claims[role]", values=("customer",)),),
                ),
            ),
        ),
    ),
]

if __name__ == "__main__":
    print(dump(POLICIES), end="")

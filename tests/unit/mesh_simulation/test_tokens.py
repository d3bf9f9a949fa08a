"""Tokens in a simulation: what the proxy's own filter makes of them, at workloads and at gateways."""

import pytest

from mesh_simulation import Request, simulate
from tests.support.signed_tokens import token
from tests.unit.mesh_simulation.meshes import GATEWAY, REVIEWS, asked, mesh

TOKENS = """
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens}
spec:
  selector: {matchLabels: {app: reviews}}
  jwtRules:
  - {issuer: first, jwksUri: "https://first/keys"}
  - {issuer: second, audiences: [people], jwksUri: "https://second/keys", fromCookies: [session]}
"""
MEMBERS = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: members}
spec:
  selector: {matchLabels: {app: reviews}}
  rules: [{when: [{key: request.auth.principal, values: ["*"]}]}]
"""


def signed(**claims: object) -> str:
    """By a key that the simulation does not know."""
    return token({"claims": claims})


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"claims": {"iss": "first", "sub": "a"}}, 200),
        ({"claims": {"iss": "second", "sub": "a", "aud": "https://people/"}}, 200),
        ({"claims": {"iss": "second", "sub": "a", "aud": "others"}}, 403),
        ({"claims": {"iss": "first", "sub": "a", "exp": 1, "nbf": 1}}, 200),
        ({"claims": {"iss": "first", "sub": 1}}, 401),
        ({"headers": {"authorization": f"Bearer {signed(iss='first')}"}}, 200),
        ({"headers": {"authorization": f"bearer {signed(iss='first')}"}}, 403),
        ({"headers": {"cookie": f"a=b; session={signed(iss='second', aud='people')}"}}, 200),
        ({"headers": {"cookie": f"session={signed(iss='first')}"}}, 401),
        ({"headers": {"authorization": "Bearer a.b.c"}}, 401),
        ({"url": f"{REVIEWS}/?access_token={signed(iss='first')}"}, 200),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else next(iter(value)),  # tokens are others each time
)
def test_places_issuers_and_audiences_are_those_of_the_proxy(more: dict[str, object], status: int) -> None:
    assert asked(TOKENS + "---" + MEMBERS, **more).status == status  # type: ignore[arg-type]


def test_why_a_token_is_refused_is_told() -> None:
    found = asked(TOKENS, claims={"iss": "other"}).destinations[0].inbound[0]
    assert (found.status, found.authentication) == (401, "refused: Jwt issuer is not configured")
    assert found.details == "jwt_authn_access_denied{Jwt_issuer_is_not_configured}"


ROUTES = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec:
  hosts: [shop.example.com]
  gateways: [shop]
  http:
  - match: [{headers: {"@request.auth.claims.group": {exact: admin}}}]
    directResponse: {status: 202}
  - directResponse: {status: 200}
"""


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        (None, 200),
        ({"iss": "first", "group": ["a", "admin"]}, 202),
        ({"iss": "first", "group": "dev"}, 200),
        ({"iss": "bad"}, 401),
    ],
)
def test_a_gateway_routes_by_claims(claims: dict[str, object] | None, status: int) -> None:
    edge = TOKENS.replace("app: reviews", "istio: ingressgateway").replace(
        "name: tokens", "name: tokens, namespace: istio-system"
    )
    some = mesh(GATEWAY, ROUTES, edge)
    decision = simulate(some, Request(url="http://shop.example.com/", via="shop", claims=claims))
    assert decision.status == status
    assert decision.not_simulated == ()

"""RequestAuthentications from the hand to the answer: one control plane, a real Envoy and our proxy, the same answers."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.integration.mesh_control.harness import LIMIT, control_plane
from tests.integration.mesh_control.programs import Program, running
from tests.integration.mesh_control.test_proxies import GATEWAY, application, get, inventory, new_connections
from tests.support.ports import free_port
from tests.support.signed_tokens import ISSUER, key_set, token

pytestmark = pytest.mark.integration

NODE = "sidecar~127.0.0.1~store.default~default.svc.cluster.local"
EDGE = "router~127.0.0.1~gateway.istio-system~istio-system.svc.cluster.local"
TOKENS = "---\napiVersion: security.istio.io/v1\nkind: RequestAuthentication\n"
RULES = "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n"
INLINE = f"""{TOKENS}metadata: {{name: tokens}}
spec:
  selector: {{matchLabels: {{app: store}}}}
  jwtRules:
  - issuer: {ISSUER}
    jwks: {json.dumps(key_set("rsa ec256 ed"))}
    audiences: [store]
    outputClaimToHeaders: [{{header: x-user, claim: sub}}]
  - issuer: partners
    jwks: {json.dumps(key_set("rsa2"))}
    fromHeaders: [{{name: x-partner, prefix: "Token "}}]
    forwardOriginalToken: true
"""
WHO = f"""{RULES}metadata: {{name: who}}
spec:
  selector: {{matchLabels: {{app: store}}}}
  rules:
  - to: [{{operation: {{paths: [/open]}}}}]
  - to: [{{operation: {{paths: [/users]}}}}]
    from: [{{source: {{requestPrincipals: ["{ISSUER}/*"]}}}}]
  - to: [{{operation: {{paths: [/admins]}}}}]
    when: [{{key: "request.auth.claims[groups]", values: [admin]}}]
  - to: [{{operation: {{paths: [/deep]}}}}]
    when: [{{key: "request.auth.claims[a][b]", values: ["c*"]}}]
  - to: [{{operation: {{paths: [/scope]}}}}]
    when: [{{key: "request.auth.claims[scope]", values: [write]}}, {{key: request.auth.audiences, values: [store]}}]
  - to: [{{operation: {{paths: [/partners]}}}}]
    when: [{{key: request.auth.principal, values: ["partners/*"]}}, {{key: request.auth.presenter, values: [they]}}]
"""
GOOD = {"aud": "store"}
PARTNER = {"iss": "partners", "azp": "they"}


def bearer(**claims: object) -> dict[str, str]:
    return {"authorization": f"Bearer {token({'claims': GOOD | claims})}"}


ROWS: list[tuple[str, dict[str, str], int]] = [
    ("/open", {}, 200),
    ("/open", bearer(), 200),
    ("/open", {"authorization": "Bearer abc"}, 401),
    ("/open", bearer(exp="now-3600"), 401),
    ("/open", bearer(iss="nobody"), 401),
    ("/open", bearer(aud="other"), 403),
    ("/open", {"authorization": f"Bearer {token({'key': 'rsa2', 'claims': GOOD})}"}, 401),
    ("/users", {}, 403),
    ("/users", bearer(), 200),
    ("/users", {"authorization": f"Bearer {token({'key': 'ec256', 'claims': GOOD})}"}, 200),
    ("/users", {"authorization": f"Bearer {token({'key': 'ed', 'claims': GOOD})}"}, 200),
    ("/users?access_token=" + token({"claims": GOOD}), {}, 200),
    ("/users", {"x-partner": f"Token {token({'key': 'rsa2', 'claims': PARTNER})}"}, 403),
    ("/admins", bearer(), 403),
    ("/admins", bearer(groups="admin"), 200),
    ("/admins", bearer(groups=["dev", "admin"]), 200),
    ("/admins", bearer(groups=["administrator"]), 403),
    ("/deep", bearer(a={"b": "cd"}), 200),
    ("/deep", bearer(a={"b": "dc"}), 403),
    ("/scope", bearer(scope="read write"), 200),
    ("/scope", bearer(scope="readwrite"), 403),
    ("/partners", {"x-partner": f"Token {token({'key': 'rsa2', 'claims': PARTNER})}"}, 200),
    ("/partners", {"x-partner": f"Token {token({'key': 'rsa', 'claims': PARTNER})}"}, 401),
    ("/partners", bearer(iss="partners"), 401),
]


async def test_a_sidecar_believes_whom_the_policies_name(tmp_path: Path, program: Program) -> None:
    ingress = free_port()
    async with contextlib.AsyncExitStack() as stack:
        store = await stack.enter_async_context(application("store"))
        plane = stack.enter_context(control_plane(tmp_path, inventory=inventory(free_port(), free_port(), ingress)))
        metadata = {"INTERCEPTION_MODE": "NONE", "INGRESS_PORTS": {str(ingress): store}, "LABELS": {"app": "store"}}
        await stack.enter_async_context(running(program, plane, NODE, metadata))
        session = await stack.enter_async_context(new_connections())
        await plane.client.apply("demo", INLINE + WHO, LIMIT)
        found = [(path, headers, (await get(session, ingress, path, **headers))[0]) for path, headers, _ in ROWS]
        assert found == ROWS
        status, body, answer = await get(session, ingress, "/open", authorization="Bearer a.b")
        assert (status, answer["www-authenticate"]) == (
            401, f'Bearer realm="http://127.0.0.1:{ingress}/open", error="invalid_token"'
        )  # fmt: skip
        assert body == "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"
        await plane.client.apply("demo", "", LIMIT)
        assert (await get(session, ingress, "/open", authorization="Bearer abc"))[0] == 200


@contextlib.asynccontextmanager
async def issuer(keys: str) -> AsyncIterator[str]:
    """A server of keys: what it is asked for at its address."""

    async def give(_: web.Request) -> web.Response:
        return web.Response(text=keys, content_type="application/json")

    application = web.Application()
    application.router.add_get("/keys", give)
    runner = web.AppRunner(application)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}/keys"
    finally:
        await runner.cleanup()


async def test_keys_are_fetched_by_the_control_plane_and_without_them_no_token_is_valid(
    tmp_path: Path, program: Program
) -> None:
    ingress = free_port()
    policy = f"{TOKENS}metadata: {{name: tokens}}\nspec: {{jwtRules: [{{issuer: {ISSUER}, jwksUri: URI}}]}}"
    async with contextlib.AsyncExitStack() as stack:
        store = await stack.enter_async_context(application("store"))
        plane = stack.enter_context(control_plane(tmp_path, inventory=inventory(free_port(), free_port(), ingress)))
        metadata = {"INTERCEPTION_MODE": "NONE", "INGRESS_PORTS": {str(ingress): store}, "LABELS": {"app": "store"}}
        await stack.enter_async_context(running(program, plane, NODE, metadata))
        session = await stack.enter_async_context(new_connections())
        await plane.client.apply("demo", policy.replace("URI", f"http://127.0.0.1:{free_port()}/keys"), LIMIT)
        status, body, _ = await get(session, ingress, "/", **bearer())
        assert (status, body) == (401, "Jwks doesn't have key to match kid or alg from Jwt") or body.startswith(
            "Jwt ver"
        )
        assert (await get(session, ingress, "/"))[0] == 200
        address = await stack.enter_async_context(issuer(key_set("rsa")))
        await plane.client.apply("demo", policy.replace("URI", address), LIMIT)
        async with asyncio.timeout(LIMIT):
            while (await get(session, ingress, "/", **bearer()))[0] != 200:
                pass  # the keys are on their way
        assert (await get(session, ingress, "/", **bearer(exp="now-3600")))[0] == 401


ROUTES = """
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec:
  hosts: [order.services.local]
  gateways: [shop]
  http:
  - match: [{headers: {"@request.auth.claims.groups": {exact: admin}}}]
    directResponse: {status: 202, body: {string: admins}}
  - match: [{headers: {"@request.auth.claims[a][b]": {prefix: c}}, withoutHeaders: {"@request.auth.claims.no": {exact: x}}}]
    directResponse: {status: 203, body: {string: deep}}
  - match: [{headers: {"@request.auth.claims.sub": {regex: ".*"}}}]
    directResponse: {status: 206, body: {string: users}}
  - directResponse: {status: 200, body: {string: anybody}}
"""


async def test_a_gateway_routes_by_what_a_token_says(tmp_path: Path, program: Program) -> None:
    port = free_port()
    tokens = INLINE.replace("metadata: {name: tokens}", "metadata: {name: tokens, namespace: istio-system}").replace(
        "{app: store}", "{istio: ingressgateway}"
    )
    shop = GATEWAY.replace("PORT", str(port)) + ROUTES + tokens
    rows = [
        ({}, 200),
        (bearer(), 206),
        (bearer(groups=["dev", "admin"]), 202),
        (bearer(groups="admin"), 202),
        (bearer(a={"b": "cd"}), 203),
        (bearer(a={"b": "cd"}, no="x"), 206),
        (bearer(a={"b": ["x", "cd"]}), 203),
        (bearer(exp="now-3600"), 401),
    ]
    async with contextlib.AsyncExitStack() as stack:
        plane = stack.enter_context(control_plane(tmp_path, inventory=inventory(1, 2, 3)))
        await plane.client.apply("demo", shop, LIMIT)
        await stack.enter_async_context(running(program, plane, EDGE, {"LABELS": {"istio": "ingressgateway"}}))
        session = await stack.enter_async_context(new_connections())
        found = [
            (headers, (await get(session, port, Host="order.services.local", **headers))[0]) for headers, _ in rows
        ]
        assert found == rows

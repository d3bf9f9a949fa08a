"""AuthorizationPolicies from the hand to the answer, enforced by a real Envoy and by our proxy alike."""

import contextlib
from pathlib import Path

import pytest

from tests.integration.mesh_control.harness import LIMIT, control_plane
from tests.integration.mesh_control.test_proxies import (
    GATEWAY,
    Program,
    application,
    get,
    inventory,
    new_connections,
    running,
)
from tests.support.ports import free_port

pytestmark = pytest.mark.integration

HEAD = "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n"
POLICIES = f"""{HEAD}metadata: {{name: readers}}
spec:
  selector: {{matchLabels: {{app: store}}}}
  rules:
  - to: [{{operation: {{methods: [GET], paths: ["/public/*", "/items/{{*}}"]}}}}]
  - from: [{{source: {{ipBlocks: [127.0.0.0/8]}}}}]
    when: [{{key: "request.headers[x-token]", values: ["let-*"]}}]
{HEAD}metadata: {{name: no-secrets}}
spec:
  selector: {{matchLabels: {{app: store}}}}
  action: DENY
  rules: [{{to: [{{operation: {{paths: ["/public/secret*"], notMethods: [HEAD]}}}}]}}]
{HEAD}metadata: {{name: maybe, annotations: {{istio.io/dry-run: "true"}}}}
spec: {{action: DENY, rules: [{{}}]}}
{HEAD}metadata: {{name: seen}}
spec: {{action: AUDIT, rules: [{{to: [{{operation: {{ports: ["1"]}}}}]}}]}}
{HEAD}metadata: {{name: elsewhere}}
spec: {{selector: {{matchLabels: {{app: other}}}}, action: DENY, rules: [{{}}]}}
"""
DENY_ALL = f"{HEAD}metadata: {{name: nobody}}\nspec: {{}}\n"


async def test_a_sidecar_lets_pass_whom_the_policies_let_pass(tmp_path: Path, program: Program) -> None:
    ingress = free_port()
    node = "sidecar~127.0.0.1~store.default~default.svc.cluster.local"
    async with contextlib.AsyncExitStack() as stack:
        store = await stack.enter_async_context(application("store"))
        plane = stack.enter_context(control_plane(tmp_path, inventory=inventory(free_port(), free_port(), ingress)))
        metadata = {"INTERCEPTION_MODE": "NONE", "INGRESS_PORTS": {str(ingress): store}, "LABELS": {"app": "store"}}
        await stack.enter_async_context(running(program, plane, node, metadata))
        session = await stack.enter_async_context(new_connections())

        async def asked(path: str, **headers: str) -> int:
            status, body, _ = await get(session, ingress, path, **headers)
            assert status == 200 or body == "RBAC: access denied"
            return status

        assert await asked("/any") == 200
        await plane.client.apply("demo", POLICIES, LIMIT)
        found = {
            path: await asked(path)
            for path in ("/any", "/public/a", "/public/../any", "/items/1", "/items/1/2", "/public/secrets")
        }
        assert found == {
            "/any": 403, "/public/a": 200, "/public/../any": 403, "/items/1": 200, "/items/1/2": 403, "/public/secrets": 403,
        }  # fmt: skip
        assert await asked("/any", **{"x-token": "let-me"}) == 200
        assert await asked("/public/secrets", **{"x-token": "let-me"}) == 403

        await plane.client.apply("demo", DENY_ALL, LIMIT)
        assert await asked("/public/a") == 403
        await plane.client.apply("demo", "", LIMIT)
        assert await asked("/any") == 200


async def test_a_gateway_asks_before_it_says_what_there_is(tmp_path: Path, program: Program) -> None:
    port = free_port()
    node = "router~127.0.0.1~gateway.istio-system~istio-system.svc.cluster.local"
    shop = GATEWAY.replace("PORT", str(port))
    rules = f"{HEAD}metadata: {{name: edge, namespace: istio-system}}\n"
    rules += "spec: {rules: [{from: [{source: {notRemoteIpBlocks: [127.0.0.0/8]}}]}]}\n"
    async with contextlib.AsyncExitStack() as stack:
        plane = stack.enter_context(control_plane(tmp_path, inventory=inventory(1, 2, 3)))
        await plane.client.apply("demo", shop, LIMIT)
        await stack.enter_async_context(running(program, plane, node, {"LABELS": {"istio": "ingressgateway"}}))
        session = await stack.enter_async_context(new_connections())
        assert (await get(session, port, Host="order.services.local"))[0] == 404
        await plane.client.apply("demo", shop + rules, LIMIT)
        assert (await get(session, port, Host="order.services.local"))[:2] == (403, "RBAC: access denied")


async def test_chains_of_bytes_are_guarded_with_interception(tmp_path: Path, program: Program) -> None:
    node = "sidecar~127.0.0.1~store.default~default.svc.cluster.local"
    capture = {"outbound": free_port(), "inbound": free_port()}
    with control_plane(tmp_path, inventory=inventory(free_port(), free_port(), free_port())) as plane:
        async with running(program, plane, node, {"CAPTURE_PORTS": capture, "LABELS": {"app": "store"}}):
            for text in (POLICIES, DENY_ALL, POLICIES + DENY_ALL):
                applied = await plane.client.apply("demo", text, LIMIT)
                assert applied["proxies"] == {"store.default": {"state": "acknowledged"}}, applied


async def test_what_cannot_be_enforced_is_refused(tmp_path: Path) -> None:
    with control_plane(tmp_path, inventory=inventory(1, 2, 3)) as plane:
        text = f"{HEAD}metadata: {{name: p}}\nspec: {{rules: [{{from: [{{source: {{principals: [a]}}}}]}}]}}"
        with pytest.raises(Exception, match=r"rules\[0\].from\[0\].source.principals"):
            await plane.client.apply("demo", text, LIMIT)

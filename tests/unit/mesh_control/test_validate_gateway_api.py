"""What of the Gateway API is taken at the control plane, and what is refused by name."""

import pytest

from mesh_control import validate
from mesh_policy import load_documents

HEAD = "apiVersion: gateway.networking.k8s.io/v1\n"
GATEWAY = HEAD + "kind: Gateway\nmetadata: {name: shop}\nspec: {gatewayClassName: istio, %s}\n"
LISTENERS = "listeners: [{name: http, port: 80, protocol: HTTP}]"
HTTP = HEAD + "kind: HTTPRoute\nmetadata: {name: web}\nspec: {parentRefs: [{name: shop}], %s}\n"
RULE = "rules: [{%s}]"
TO_WEB = "backendRefs: [{name: web, port: 80}]"

TAKEN = [
    GATEWAY % LISTENERS,
    GATEWAY % f"addresses: [{{type: Hostname, value: ingress}}], {LISTENERS}",
    GATEWAY % "listeners: [{name: tcp, port: 9000, protocol: TCP, allowedRoutes: {namespaces: {from: All}}}]",
    GATEWAY % "listeners: [{name: a, port: 1, protocol: TLS, tls: {mode: Passthrough}}]",
    GATEWAY % "listeners: [{name: a, port: 1, protocol: HTTPS, tls: {certificateRefs: [{name: web}]}}]",
    HEAD + "kind: GRPCRoute\nmetadata: {name: a}\nspec: {rules: [{backendRefs: [{name: web, port: 1}]}]}\n",
    HEAD
    + "kind: TLSRoute\nmetadata: {name: a}\nspec: {hostnames: [a.example], rules: [{backendRefs: [{name: b, port: 1}]}]}\n",
    HTTP % RULE % TO_WEB,
    HTTP % RULE % f"matches: [{{path: {{value: /a}}}}], timeouts: {{request: 1s}}, {TO_WEB}",
    HTTP % RULE % "filters: [{type: RequestRedirect, requestRedirect: {scheme: https}}]",
]
REFUSED = [
    (
        GATEWAY % "listeners: [{name: a, port: 1, protocol: UDP}]",
        "spec.listeners[0].protocol: UDP is not supported yet",
    ),
    (
        GATEWAY
        % "listeners: [{name: a, port: 1, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {}}}}]",
        "allowedRoutes.namespaces.from: labels of namespaces are not known here",
    ),
    (GATEWAY % f"addresses: [{{value: 10.0.0.1}}], {LISTENERS}", "spec.addresses[0].type: no addresses are handed out"),
    (GATEWAY % f"infrastructure: {{labels: {{a: b}}}}, {LISTENERS}", "spec.infrastructure: is not supported yet"),
    (
        HTTP % RULE % f"filters: [{{type: ExtensionRef, extensionRef: {{group: a, kind: B, name: c}}}}], {TO_WEB}",
        "spec.rules[0].filters[0]: ExtensionRef is not supported",
    ),
    (
        HTTP % RULE % "backendRefs: [{group: a.example, kind: Thing, name: b}]",
        "backendRefs[0].kind: Thing is not supported",
    ),
    (
        HTTP % RULE % "backendRefs: [{name: web.default, port: 80}]",
        "backendRefs[0].name: web.default: write the Service's",
    ),
    (
        HTTP % RULE % f"sessionPersistence: {{}}, {TO_WEB}",
        "spec.rules[0].sessionPersistence: Istio does not look at it",
    ),
    (
        HEAD + "kind: GRPCRoute\nmetadata: {name: a}\nspec: {rules: [{backendRefs: [{name: a.b, port: 1}]}]}\n",
        "spec.rules[0].backendRefs[0].name: a.b: write the Service's name",
    ),
]


@pytest.mark.parametrize("text", TAKEN)
def test_taken(text: str) -> None:
    (policy,) = load_documents(text)
    assert validate.unsupported(policy) == []


@pytest.mark.parametrize(("text", "said"), REFUSED, ids=[said[:40] for _, said in REFUSED])
def test_refused(text: str, said: str) -> None:
    (policy,) = load_documents(text)
    (finding,) = validate.unsupported(policy)
    assert finding.code == "MESH0006"
    assert said in str(finding)

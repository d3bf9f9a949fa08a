"""What of an AuthorizationPolicy is refused while it cannot be enforced, by name; all else is taken."""

import pytest

from mesh_control.validate import unsupported
from mesh_policy import load_documents

HEAD = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a, namespace: ns}\nspec: "

REFUSED = {
    "{rules: [{when: [{key: 'experimental.envoy.filters.a.b[c]', values: [a]}]}]}": "spec.rules[0].when[0].key",
    "{targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: a}, {kind: Service, name: b}], rules: [{}]}":
        "spec.targetRefs[1].kind",
}  # fmt: skip

TAKEN = (
    "{}",
    "{rules: [{from: [{source: {requestPrincipals: ['*']}}, {source: {notRequestPrincipals: ['*']}}]}]}",
    "{rules: [{when: [{key: request.auth.principal, values: [a]}, {key: request.auth.audiences, values: [a]}]}]}",
    "{rules: [{when: [{key: request.auth.presenter, values: [a]}, {key: 'request.auth.claims[a]', values: [a]}]}]}",
    "{rules: [{from: [{source: {principals: [a], notPrincipals: [b]}}]}]}",
    "{rules: [{}, {from: [{source: {ipBlocks: [1.2.3.4]}}, {source: {namespaces: [a]}}]}]}",
    "{rules: [{from: [{source: {notNamespaces: [a]}}]}]}",
    "{rules: [{from: [{source: {serviceAccounts: [a]}}]}]}",
    "{rules: [{from: [{source: {trustDomains: [a], notTrustDomains: [b]}}]}]}",
    "{rules: [{when: [{key: source.principal, values: [a]}, {key: connection.sni, values: [a]}]}]}",
    "{rules: [{}]}",
    "{action: CUSTOM, provider: {name: p}, rules: [{}]}",
    "{action: DENY, rules: [{to: [{operation: {hosts: [a], methods: [GET], paths: [/a], ports: ['80']}}]}]}",
    "{action: AUDIT, rules: [{from: [{source: {ipBlocks: [10.0.0.0/8], notRemoteIpBlocks: [10.1.2.3]}}]}]}",
    "{rules: [{when: [{key: 'request.headers[a]', values: [a]}, {key: source.ip, notValues: [1.2.3.4]}]}]}",
    "{rules: [{when: [{key: remote.ip, values: [1.2.3.4]}, {key: destination.port, values: ['80']}]}]}",
    "{targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: a}, rules: [{}]}",
)


@pytest.mark.parametrize("spec", REFUSED)
def test_what_nobody_can_say_or_would_have_to_be_asked_is_refused_by_its_field(spec: str) -> None:
    (policy,) = load_documents(HEAD + spec)
    assert [(finding.code, finding.field) for finding in unsupported(policy)] == [("MESH0006", REFUSED[spec])]


@pytest.mark.parametrize("spec", TAKEN)
def test_all_else_is_enforced(spec: str) -> None:
    (policy,) = load_documents(HEAD + spec)
    assert unsupported(policy) == []

"""Whose tokens a workload believes."""

import pytest

from mesh_api.node import NodeKind
from mesh_control.compiler.request_authentication import policies_of, rules_of
from mesh_control.compiler.scope import Scope
from mesh_control.proxies import Proxy
from mesh_control.world import World
from mesh_policy import load_documents

GATEWAY = {"gateway.networking.k8s.io/gateway-name": "g"}
TARGET = "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: g}]"
POLICIES = [
    ("mesh", "istio-system", "jwtRules: [{issuer: m, jwksUri: 'https://m'}]"),
    ("space", "ns", "jwtRules: [{issuer: z, jwksUri: 'https://z'}, {issuer: b, jwksUri: 'https://b'}]"),
    ("own", "ns", "selector: {matchLabels: {app: a}}, jwtRules: [{issuer: c, jwksUri: 'https://c'}]"),
    ("others", "ns", "selector: {matchLabels: {app: b}}, jwtRules: [{issuer: d, jwksUri: 'https://d'}]"),
    ("away", "other", "jwtRules: [{issuer: e, jwksUri: 'https://e'}]"),
    ("edge", "ns", f"{TARGET}, jwtRules: [{{issuer: f, jwksUri: 'https://f'}}]"),
    ("edge elsewhere", "other", f"{TARGET}, jwtRules: [{{issuer: h, jwksUri: 'https://h'}}]"),
    ("nothing", "ns", ""),
]


def scope(labels: dict[str, str]) -> Scope:
    texts = [
        "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\n"
        f"metadata: {{name: {name.replace(' ', '-')}, namespace: {namespace}}}\nspec: {{{spec}}}\n"
        for name, namespace, spec in POLICIES
    ]
    world = World.of(policies=load_documents("---\n".join(texts)))
    return Scope(world, Proxy("id", NodeKind.SIDECAR, "w", "ns", "10.0.0.1", labels))


@pytest.mark.parametrize(
    ("labels", "policies", "issuers"),
    [
        ({"app": "a"}, ["nothing", "own", "space", "mesh"], ["b", "c", "m", "z"]),
        ({}, ["nothing", "space", "mesh"], ["b", "m", "z"]),
        ({"app": "a", **GATEWAY}, ["edge", "nothing", "own", "space", "mesh"], ["b", "c", "f", "m", "z"]),
    ],
)
def test_rules_of_a_workload(labels: dict[str, str], policies: list[str], issuers: list[str]) -> None:
    asked = scope(labels)
    assert [policy.metadata.name for policy in policies_of(asked)] == policies
    assert [rule.issuer for rule in rules_of(asked)] == issuers

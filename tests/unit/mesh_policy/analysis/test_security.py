"""AuthorizationPolicy, PeerAuthentication, RequestAuthentication, Telemetry."""

import pytest

from mesh_policy.analysis.context import Knowledge
from mesh_policy.analysis.pods import KnownWorkload
from mesh_policy.mesh_config import read_mesh_config
from tests.unit.mesh_policy.analysis.cases import document, findings, pod, service, told, virtual

BOOKS = "selector: {matchLabels: {app: books}}"
RULE = "rules: [{from: [{source: {principals: [a]}}]}]"


def authorization(spec: str, name: str = "policy", namespace: str = "default", more: str = "") -> str:
    return document("AuthorizationPolicy", name, spec, namespace, more)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (authorization("{%s, %s}" % (BOOKS, RULE)), []),  # noqa: UP031
        (pod() + authorization("{%s, %s}" % (BOOKS, RULE)), []),  # noqa: UP031
        (pod("other") + authorization("{%s, %s}" % (BOOKS, RULE)), ["IST0127 spec.selector.matchLabels"]),  # noqa: UP031
        (pod() + authorization("{%s}" % RULE, namespace="shop"), ["IST0127 spec"]),  # noqa: UP031
        (pod() + authorization("{%s}" % RULE, namespace="istio-system"), []),  # noqa: UP031
        # A pod without a proxy is for no policy.
        (
            document("Namespace", "default", namespace="")
            + document("Pod", "p", "{containers: []}", more=", labels: {app: books}")
            + authorization("{%s, %s}" % (BOOKS, RULE)),  # noqa: UP031
            ["IST0127 spec.selector.matchLabels"],
        ),
    ],
)
def test_policies_for_nobody(text: str, expected: list[str]) -> None:
    assert [f"{f.code} {f.field}" for f in findings(text) if f.code == "IST0127"] == expected


def test_workloads_of_namespaces_that_the_files_do_not_show() -> None:
    deployment = document(
        "Deployment",
        "books",
        "{template: {metadata: {labels: {app: books}}, spec: {containers: [{name: a, image: a}]}}}",
    )
    text = deployment + authorization(f"{{{BOOKS}, {RULE}}}")
    assert told(text, "IST0127") == []
    assert told(text + document("Namespace", "default", namespace=""), "IST0127") != []
    assert told(text, "IST0127", known=Knowledge(whole=True)) != []


def test_gateways_of_a_running_mesh_are_known_when_one_is_connected() -> None:
    servers = "servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]"
    text = document("Gateway", "edge", f"{{selector: {{istio: edge}}, {servers}}}")
    books = KnownWorkload("default", {"app": "books"})
    assert told(text, known=Knowledge(services=[], workloads=[books])) == []
    edge = KnownWorkload("default", {"istio": "edge"}, gateway=True)
    assert told(text, known=Knowledge(services=[], workloads=[books, edge])) == []
    other = KnownWorkload("default", {"istio": "other"}, gateway=True)
    assert told(text, known=Knowledge(services=[], workloads=[books, other])) == [
        "IST0101 Gateway default/edge spec.selector"
    ]


def test_namespaces_that_are_not_there() -> None:
    text = authorization("{rules: [{from: [{source: {namespaces: [default, 'def*', '*-x', gone]}}]}]}")
    assert told(text, "IST0101") == []
    base = "AuthorizationPolicy default/policy spec.rules[0].from[0].source.namespaces"
    namespace = document("Namespace", "default", namespace="")
    assert told(namespace + text, "IST0101") == [f"IST0101 {base}[2]", f"IST0101 {base}[3]"]


@pytest.mark.parametrize(
    ("spec", "name", "expected"),
    [
        ("{}", "policy", ["spec"]),
        ("{action: ALLOW}", "policy", ["spec"]),
        ("{selector: {matchLabels: {app: a}}, rules: []}", "policy", ["spec"]),
        ("{}", "deny-all", []),
        ("{}", "allow-nothing", []),
        ("{rules: [{}]}", "policy", []),
        ("{action: DENY, rules: [{}]}", "policy", ["spec.rules[0]"]),
        ("{action: DENY, rules: [{to: [{operation: {methods: [GET]}}]}]}", "policy", []),
        ("{action: DENY}", "policy", []),
    ],
)
def test_policies_that_refuse_everything(spec: str, name: str, expected: list[str]) -> None:
    assert [f.field for f in findings(authorization(spec, name)) if f.code == "MESH0012"] == expected


@pytest.mark.parametrize(
    ("port", "operation", "expected"),
    [
        ("{name: tcp, port: 80}", "methods: [GET]", 1),
        ("{name: http, port: 80}", "methods: [GET]", 0),
        ("{name: unknown, port: 80}", "methods: [GET]", 0),
        ("{name: tcp, port: 80}", "ports: ['80']", 0),
        ("{name: tcp, port: 80}, {name: http, port: 81}", "methods: [GET]", 0),
        ("{name: tcp, port: 80}, {name: http, port: 81}", "methods: [GET], ports: ['80']", 1),
        ("{name: tcp, port: 80}, {name: http, port: 81}", "methods: [GET], ports: ['81']", 0),
        ("{name: tcp, port: 80, targetPort: 8080}", "paths: [/a], ports: ['8080']", 1),
    ],
)
def test_conditions_of_http_where_there_is_none(port: str, operation: str, expected: int) -> None:
    policy = authorization(f"{{{BOOKS}, action: DENY, rules: [{{to: [{{operation: {{{operation}}}}}]}}]}}")
    assert len(told(service(ports=port) + pod() + policy, "MESH0013")) == expected


TOKEN = document("RequestAuthentication", "jwt", f"{{{BOOKS}, jwtRules: [{{issuer: a, jwksUri: 'https://a/keys'}}]}}")


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("", 1),
        (authorization(f"{{{BOOKS}, rules: [{{from: [{{source: {{requestPrincipals: ['*']}}}}]}}]}}"), 0),
        (authorization("{action: DENY, rules: [{from: [{source: {notRequestPrincipals: ['*']}}]}]}"), 0),
        (authorization("{rules: [{when: [{key: 'request.auth.claims[iss]', values: [a]}]}]}"), 0),
        (authorization("{rules: [{from: [{source: {requestPrincipals: ['*']}}]}]}", namespace="shop"), 1),
        (authorization("{rules: [{from: [{source: {requestPrincipals: ['*']}}]}]}", namespace="istio-system"), 0),
        (
            authorization(
                "{selector: {matchLabels: {app: x}}, rules: [{from: [{source: {requestPrincipals: ['*']}}]}]}"
            ),
            1,
        ),
        (authorization("{action: DENY, rules: [{from: [{source: {requestPrincipals: ['a/*']}}]}]}"), 1),
    ],
)
def test_tokens_that_nobody_asks_for(policy: str, expected: int) -> None:
    assert len(told(TOKEN + policy, "MESH0014")) == expected


def peer(spec: str, name: str = "peer", namespace: str = "default") -> str:
    return document("PeerAuthentication", name, spec, namespace)


PLAIN_RULE = document("DestinationRule", "r", "{host: books, trafficPolicy: {tls: {mode: DISABLE}}}")


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        ("", 0),
        (peer("{mtls: {mode: STRICT}}"), 1),
        (peer("{mtls: {mode: STRICT}}", namespace="istio-system"), 1),
        (peer("{mtls: {mode: STRICT}}", namespace="istio-system") + peer("{mtls: {mode: PERMISSIVE}}"), 0),
        (peer("{mtls: {mode: STRICT}}") + peer(f"{{{BOOKS}, mtls: {{mode: PERMISSIVE}}}}", "own"), 0),
        (peer("{mtls: {mode: STRICT}}") + peer(f"{{{BOOKS}, mtls: {{mode: UNSET}}}}", "own"), 1),
        (peer("{mtls: {mode: STRICT}}", namespace="shop"), 0),
        (peer(f"{{{BOOKS}, mtls: {{mode: STRICT}}, portLevelMtls: {{80: {{mode: DISABLE}}}}}}"), 0),
    ],
)
def test_plain_text_to_those_who_insist(policies: str, expected: int) -> None:
    assert len(told(service() + pod() + PLAIN_RULE + policies, "MESH0015")) == expected


def test_identities_without_mutual_tls() -> None:
    text = pod() + authorization("{%s, %s}" % (BOOKS, RULE))  # noqa: UP031
    assert told(text + peer("{mtls: {mode: DISABLE}}"), "MESH0016") == [
        "MESH0016 AuthorizationPolicy default/policy spec.rules[0].from[0].source.principals"
    ]
    assert told(text, "MESH0016") == []


def test_several_for_the_same_workloads() -> None:
    two = peer("{mtls: {mode: STRICT}}") + peer("{mtls: {mode: DISABLE}}", "other")
    assert [line.split()[2] for line in told(two, "MESH0022")] == ["default/peer", "default/other"]
    assert told(peer("{mtls: {mode: STRICT}}") + peer(f"{{{BOOKS}}}", "other"), "MESH0022") == []


def test_routes_by_claims() -> None:
    servers = "servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]"
    edge = document("Gateway", "edge", f"{{selector: {{app: books}}, {servers}}}") + pod()
    route = "{match: [{headers: {'@request.auth.claims.sub': {exact: a}}}], route: [{destination: {host: books}}]}"
    text = edge + virtual(route, more="gateways: [edge], ")
    assert told(text, "IST0149") == ["IST0149 VirtualService default/a spec.gateways[0]"]
    assert told(text + TOKEN, "IST0149") == []


def test_keys_from_anywhere() -> None:
    spec = "{template: {metadata: {labels: {}}, spec: {containers: [{name: discovery, image: pilot%s}]}}}"
    istiod = document("Deployment", "istiod", spec, "istio-system", ", labels: {app: istiod}")
    assert told(TOKEN + istiod % "", "IST0175") == [
        "IST0175 Deployment istio-system/istiod spec.template.spec.containers"
    ]
    blocked = ", env: [{name: BLOCKED_CIDRS_IN_JWKS_URIS, value: 10.0.0.0/8}]"
    assert told(TOKEN + istiod % blocked, "IST0175") == []
    assert told(istiod % "", "IST0175") == []


def telemetry(spec: str, name: str = "t") -> str:
    return document("Telemetry", name, spec)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (telemetry("{accessLogging: [{}]}"), ["IST0157 spec.accessLogging[0]"]),
        (telemetry("{accessLogging: [{disabled: true}, {providers: [{name: envoy}]}]}"), []),
        (telemetry("{tracing: [{}, {}]}"), ["IST0133 spec.tracing"]),
        (telemetry("{tracing: [{}]}") + telemetry("{metrics: [{}]}", "u"), ["IST0160 spec", "IST0160 spec"]),
        (pod() + telemetry(f"{{{BOOKS}}}"), []),
        (pod("other") + telemetry(f"{{{BOOKS}}}"), ["IST0101 spec.selector.matchLabels"]),
        (pod() + telemetry(f"{{{BOOKS}}}") + telemetry(f"{{{BOOKS}}}", "u"), ["IST0159 spec.selector"] * 2),
        (telemetry("{selector: {}}"), ["IST0133 spec.selector"]),
    ],
)
def test_telemetries(text: str, expected: list[str]) -> None:
    assert [f"{f.code} {f.field}" for f in findings(text) if f.kind == "Telemetry"] == expected


def test_providers_of_the_mesh() -> None:
    known = Knowledge(
        read_mesh_config(
            "extensionProviders:\n"
            "- {name: old, lightstep: {service: a.b, port: 1, accessToken: t}}\n"
            "- {name: new, opentelemetry: {service: a.b, port: 1}}\n"
            "defaultProviders: {accessLogging: [envoy]}\n"
        )
    )
    text = telemetry("{accessLogging: [{}], tracing: [{providers: [{name: %s}]}]}")
    assert told(text % "old", known=known) == ["IST0002 Telemetry default/t spec.tracing[0].providers[0]"]
    assert told(text % "new", known=known) == []


def test_selectors_of_gateways_of_the_gateway_api() -> None:
    gateway = document(
        "Pod", "g", "{containers: []}", more=", labels: {gateway.networking.k8s.io/gateway-name: edge, app: books}"
    )
    text = gateway + authorization("{%s, %s}" % (BOOKS, RULE))  # noqa: UP031
    assert "IST0166 AuthorizationPolicy default/policy spec.selector" in told(text)

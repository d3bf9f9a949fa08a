"""Sidecar, ServiceEntry, kinds of the Gateway API, and what Istio accepts with a warning."""

import pytest

from tests.unit.mesh_policy.analysis.cases import document, findings, pod, service, told, virtual

PLAIN = "{route: [{destination: {host: books}}]}"
BOOKS = "workloadSelector: {labels: {app: books}}"


def sidecar(spec: str, name: str = "s", namespace: str = "default") -> str:
    return document("Sidecar", name, spec, namespace)


SECRET = '{"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "a"}]}'
ALL = "egress: [{hosts: ['*/*']}]"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (sidecar(f"{{{ALL}}}"), []),
        (sidecar(f"{{{ALL}}}") + sidecar(f"{{{ALL}}}", "t"), ["IST0111 spec"] * 2),
        (sidecar(f"{{{ALL}}}") + sidecar(f"{{{ALL}}}", "t", "shop"), []),
        (pod() + sidecar(f"{{{BOOKS}, {ALL}}}") + sidecar(f"{{{ALL}}}", "t"), []),
        (
            pod() + sidecar(f"{{{BOOKS}, {ALL}}}") + sidecar(f"{{{BOOKS}, {ALL}}}", "t"),
            ["IST0110 spec.workloadSelector"] * 2,
        ),
        (pod("other") + sidecar(f"{{{BOOKS}, {ALL}}}"), ["IST0101 spec.workloadSelector.labels"]),
        (pod(namespace="shop") + sidecar(f"{{{BOOKS}, {ALL}}}"), ["IST0101 spec.workloadSelector.labels"]),
        (
            document("Namespace", "default", more=", labels: {istio.io/dataplane-mode: ambient}", namespace="")
            + sidecar(f"{{{ALL}}}"),
            ["IST0167 spec"],
        ),
        (
            pod(more=", annotations: {ambient.istio.io/redirection: enabled}") + sidecar(f"{{{BOOKS}, {ALL}}}"),
            ["IST0167 spec.workloadSelector"],
        ),
        (virtual(PLAIN) + sidecar("{egress: [{hosts: ['./*']}]}"), []),
        (virtual(PLAIN) + sidecar("{egress: [{hosts: ['default/books.default.svc.cluster.local']}]}"), []),
        (virtual(PLAIN) + sidecar("{egress: [{hosts: ['shop/*']}]}"), ["MESH0020 spec.egress"]),
        (
            virtual(PLAIN) + sidecar("{egress: [{hosts: ['./other.default.svc.cluster.local']}]}"),
            ["MESH0020 spec.egress"],
        ),
        (virtual(PLAIN, hosts="[books.shop.svc.cluster.local]") + sidecar("{egress: [{hosts: ['shop/*']}]}"), []),
        (virtual(PLAIN, namespace="shop") + sidecar("{egress: [{hosts: ['infra/*']}]}"), []),
        (sidecar("{egress: [{hosts: ['./*', './a.com']}]}"), ["IST0133 spec.egress[0].hosts[1]"]),
        (sidecar("{egress: [{hosts: ['*/*', 'shop/*']}]}"), ["IST0133 spec.egress[0].hosts"]),
        (
            sidecar("{outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: a.com, port: {number: 1}}}}"),
            ["IST0002 spec.outboundTrafficPolicy.egressProxy"],
        ),
    ],
)
def test_sidecars(text: str, expected: list[str]) -> None:
    assert [f"{f.code} {f.field}" for f in findings(text) if f.kind == "Sidecar"] == expected


def entry(name: str = "e", ports: str = "{number: 80, name: http, protocol: HTTP}", more: str = "") -> str:
    return document("ServiceEntry", name, f"{{hosts: [a.example.com], ports: [{ports}], resolution: DNS{more}}}")


TCP = "{number: 80, name: tcp, protocol: %s}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (entry(), []),
        (entry(ports=TCP % "TCP"), ["IST0134 spec.ports[0]"]),
        (entry(ports=TCP % "tcp"), ["IST0134 spec.ports[0]"]),
        (entry(ports=TCP % "TCP", more=", addresses: [192.0.2.1]"), []),
        (entry() + entry("f", TCP % "TLS"), ["IST0177 spec.ports"] * 2),
        (entry() + entry("f", TCP % "http"), []),
        (entry(more=", exportTo: ['.']") + entry("f", TCP % "TLS", ", exportTo: [shop]"), []),
        (entry(more=", exportTo: ['.']") + entry("f", TCP % "TLS"), ["IST0177 spec.ports"] * 2),
        (
            document("ServiceEntry", "e", "{hosts: [a.com], resolution: STATIC, workloadSelector: {labels: {app: x}}}")
            + pod(),
            ["IST0127 spec.workloadSelector.labels"],
        ),
    ],
)
def test_service_entries(text: str, expected: list[str]) -> None:
    assert [f"{f.code} {f.field}" for f in findings(text) if f.kind == "ServiceEntry"] == expected


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (
            virtual("{mirrorPercent: 5, mirror: {host: b}, route: [{destination: {host: a}}]}"),
            "spec.http[0].mirrorPercent",
        ),
        (virtual(PLAIN, more="gateways: [edge.shop], "), "spec.gateways[0]"),
        (
            document(
                "DestinationRule",
                "r",
                "{host: a.com, trafficPolicy: {loadBalancer: {consistentHash: "
                "{httpHeaderName: x, minimumRingSize: 5}}}}",
            ),
            "spec.trafficPolicy.loadBalancer.consistentHash.minimumRingSize",
        ),
        (document("WorkloadEntry", "w", "{network: far}"), "spec.address"),
        (document("ProxyConfig", "p", "{selector: {}}"), "spec.selector"),
        (
            document("RequestAuthentication", "r", f"{{jwtRules: [{{issuer: a, jwks: '{SECRET}'}}]}}"),
            "spec.jwtRules[0].jwks",
        ),
    ],
)
def test_what_istio_warns_of(text: str, field: str) -> None:
    assert [f.field for f in findings(text) if f.code == "IST0133"] == [field]


def test_tls_of_gateways() -> None:
    tls = "tls: {mode: SIMPLE, credentialName: c, minProtocolVersion: TLSV1_1}"
    server = "{port: {number: 443, name: https, protocol: HTTPS}, hosts: ['*'], %s}"
    old = document("Gateway", "g", "{servers: [%s]}" % (server % tls))
    assert told(old, "IST0133") == ["IST0133 Gateway default/g spec.servers[0].tls.minProtocolVersion"]
    suites = "tls: {mode: SIMPLE, credentialName: c, cipherSuites: [WRONG, AES128-SHA, AES128-SHA]}"
    text = document("Gateway", "g", "{servers: [%s]}" % (server % suites))
    field = "IST0133 Gateway default/g spec.servers[0].tls.cipherSuites"
    assert told(text, "IST0133") == [f"{field}[0]", f"{field}[2]"]


def gateway(listener: str = "", namespace: str = "infra") -> str:
    spec = f"{{gatewayClassName: istio, listeners: [{{name: http, port: 80, protocol: HTTP{listener}}}]}}"
    return document("Gateway", "edge", spec, namespace).replace(
        "networking.istio.io/v1", "gateway.networking.k8s.io/v1"
    )


def route(parent: str, backend: str = "{name: books, port: 80}", more: str = "") -> str:
    return document("HTTPRoute", "r", f"{{parentRefs: [{parent}], {more}rules: [{{backendRefs: [{backend}]}}]}}")


GRANT = document(
    "ReferenceGrant",
    "g",
    "{from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default}], to: [{group: '', kind: Service}]}",
    "shop",
).replace("gateway.networking.k8s.io/v1\n", "gateway.networking.k8s.io/v1beta1\n")
OPEN = ", allowedRoutes: {namespaces: {from: All}}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (route("{name: edge, namespace: infra}"), []),
        (gateway(OPEN) + route("{name: edge, namespace: infra}"), []),
        (gateway() + route("{name: edge, namespace: infra}"), ["MESH0023 spec.parentRefs[0]"]),
        (gateway(OPEN) + route("{name: gone}"), ["MESH0023 spec.parentRefs[0]"]),
        (gateway(OPEN) + route("{name: edge, namespace: infra, sectionName: https}"), ["MESH0023 spec.parentRefs[0]"]),
        (
            gateway(f"{OPEN}, hostname: a.example.com")
            + route("{name: edge, namespace: infra}", more="hostnames: [b.com], "),
            ["MESH0023 spec.parentRefs[0]"],
        ),
        (service() + route("{name: edge}", "{name: gone, port: 80}"), ["MESH0023 spec.rules[0].backendRefs[0].name"]),
        (service() + route("{name: edge}", "{name: books, port: 81}"), ["MESH0023 spec.rules[0].backendRefs[0].port"]),
        (
            service("cart", namespace="shop") + route("{name: edge}", "{name: cart, namespace: shop, port: 80}"),
            ["MESH0025 spec.rules[0].backendRefs[0].namespace"],
        ),
        (
            service("cart", namespace="shop")
            + GRANT
            + route("{name: edge}", "{name: cart, namespace: shop, port: 80}"),
            [],
        ),
    ],
)
def test_routes_of_the_gateway_api(text: str, expected: list[str]) -> None:
    assert [f"{f.code} {f.field}" for f in findings(text) if f.kind == "HTTPRoute"] == expected

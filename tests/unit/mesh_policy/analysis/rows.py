"""Whole small meshes that Istio's analyzers are asked about as well."""

from tests.unit.mesh_policy.analysis.cases import document, pod, service, virtual

NAMESPACE = document("Namespace", "default", more=", labels: {istio-injection: enabled}", namespace="")
SHOP = document("Namespace", "shop", more=", labels: {istio-injection: enabled}", namespace="")
PLAIN = "{route: [{destination: {host: books}}]}"
BASE = NAMESPACE + service() + pod()
_TO = "{destination: {host: books, subset: v1}, weight: 90}, {destination: {host: books, subset: v2}, weight: 10}"
CANARY = "{route: [" + _TO + "]}"
SUBSETS = "{host: books, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}"
ENTRY = "{hosts: [%s], location: MESH_EXTERNAL, resolution: DNS, ports: [{number: 80, name: http, protocol: %s}]}"
GATEWAY = (
    "{selector: {istio: ingressgateway}, servers: [{port: {number: %d, name: http, protocol: HTTP}, hosts: [%s]}]}"
)


def authorization(name: str, spec: str, namespace: str = "default") -> str:
    return document("AuthorizationPolicy", name, spec, namespace)


ROWS = [
    BASE + virtual(PLAIN),
    BASE + virtual("{route: [{destination: {host: gone}}]}"),
    BASE + virtual("{route: [{destination: {host: books.shop.svc.cluster.local}}]}"),
    BASE + virtual("{route: [{destination: {host: books, port: {number: 1}}}], mirror: {host: gone}}"),
    BASE
    + service("two", "{name: http, port: 1}, {name: http-b, port: 2}")
    + virtual("{route: [{destination: {host: two}}]}"),
    BASE + virtual(CANARY) + document("DestinationRule", "r", SUBSETS),
    BASE + pod(version="v2") + virtual(CANARY) + document("DestinationRule", "r", SUBSETS),
    BASE + virtual(CANARY) + document("DestinationRule", "r", SUBSETS, "shop") + SHOP,
    BASE + virtual(PLAIN) + virtual(PLAIN, "b") + virtual(PLAIN, "c", "gateways: [edge], "),
    BASE + virtual(PLAIN, more='exportTo: ["."], ') + virtual(PLAIN, "b", "exportTo: [shop], ") + SHOP,
    BASE
    + virtual(PLAIN, hosts="[books.default.svc.cluster.local]", more='exportTo: ["."], ')
    + virtual(PLAIN, "b", "exportTo: ['*'], "),
    BASE + virtual(f"{PLAIN}, {PLAIN}, {PLAIN}"),
    BASE
    + virtual(
        "{match: [{uri: {prefix: /a}}], route: [{destination: {host: books}}]}, "
        "{match: [{uri: {prefix: /ab}}, {uri: {exact: /c}}], route: [{destination: {host: books}}]}, "
        "{match: [{uri: {exact: /c}, name: again}], route: [{destination: {host: books}}]}"
    ),
    BASE
    + document("Gateway", "edge", GATEWAY % (80, "'*.example.com'"))
    + virtual(PLAIN, "b", "gateways: [edge], ", "[a.example.com]"),
    BASE
    + document("Gateway", "edge", GATEWAY % (80, "a.example.com"))
    + virtual(PLAIN, "b", "gateways: [edge], ", "['*.example.com']"),
    BASE + document("Gateway", "edge", GATEWAY % (81, "'*'")) + document("Gateway", "other", GATEWAY % (81, "'*'")),
    BASE
    + document("Gateway", "edge", GATEWAY % (80, "shop/a.example.com"))
    + virtual(PLAIN, "b", "gateways: [edge], ", "[a.example.com]"),
    BASE + document("Gateway", "edge", (GATEWAY % (80, "'*'")).replace("ingressgateway", "gone")),
    BASE
    + document("ServiceEntry", "a", ENTRY % ("a.example.com", "HTTP"))
    + document("ServiceEntry", "b", ENTRY % ("a.example.com", "TLS")),
    BASE + document("ServiceEntry", "a", ENTRY % ("a.example.com", "TCP")),
    BASE
    + document("ServiceEntry", "a", "{hosts: ['*.example.com'], ports: [{number: 80, name: http, protocol: HTTP}]}")
    + virtual("{route: [{destination: {host: b.example.com}}]}")
    + document("DestinationRule", "r", "{host: b.example.com, trafficPolicy: {tls: {mode: SIMPLE}}}"),
    BASE + document("DestinationRule", "r", "{host: gone}") + document("DestinationRule", "s", "{host: '*.gone.com'}"),
    BASE
    + document("Sidecar", "a", "{egress: [{hosts: ['./*']}]}")
    + document("Sidecar", "b", "{egress: [{hosts: ['./*', './a.com']}]}"),
    BASE
    + document("Sidecar", "a", "{workloadSelector: {labels: {app: books}}, egress: [{hosts: ['./*']}]}")
    + document("Sidecar", "b", "{workloadSelector: {labels: {version: v1}}, egress: [{hosts: ['*/*', 'shop/*']}]}")
    + document("Sidecar", "c", "{workloadSelector: {labels: {app: gone}}, egress: [{hosts: ['./*']}]}"),
    BASE + document("Telemetry", "a", "{accessLogging: [{}]}") + document("Telemetry", "b", "{tracing: [{}, {}]}"),
    BASE
    + authorization("a", "{selector: {matchLabels: {app: gone}}, rules: [{}]}")
    + authorization("b", "{rules: [{from: [{source: {namespaces: [shop, default, 'def*', '*-gone']}}]}]}")
    + authorization("c", "{}", "shop")
    + authorization("d", "{}", "istio-system")
    + authorization("e", "{selector: {matchLabels: {app: gone}}}", "istio-system"),
    BASE
    + document(
        "RequestAuthentication",
        "a",
        "{selector: {matchLabels: {app: books}}, jwtRules: [{issuer: a, jwksUri: 'https://a'}]}",
    )
    + document("Gateway", "edge", GATEWAY % (80, "'*'"))
    + virtual(
        "{match: [{headers: {'@request.auth.claims.sub': {exact: a}}}], route: [{destination: {host: books}}]}",
        "b",
        "gateways: [edge], ",
        "[a.example.com]",
    ),
    BASE + document("PeerAuthentication", "a", "{selector: {}, mtls: {mode: STRICT}}"),
    BASE + service("web", "{name: web, port: 80}, {port: 3306, name: x}, {name: dns, port: 53, protocol: UDP}"),
    document("Namespace", "a", namespace="")
    + document("Namespace", "b", more=", labels: {istio-injection: ''}", namespace=""),
    BASE
    + document(
        "Deployment", "d", "{template: {metadata: {labels: {app: books}}, spec: {containers: [{name: a, image: a}]}}}"
    )
    + document(
        "Service",
        "b",
        "{selector: {app: books}, ports: [{name: http, port: 81, targetPort: 80}, {name: u, port: 80, protocol: UDP}]}",
    ),
]
"""Each is a whole mesh."""

"""Requests through Gateways of the Gateway API."""

from mesh_simulation import Mesh, Request, simulate

OBJECTS = """
apiVersion: v1
kind: Service
metadata: {name: shop-istio, namespace: edge}
spec: {selector: {app: shop}, ports: [{name: http, port: 80, targetPort: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: shop, namespace: edge}
spec:
  gatewayClassName: istio
  listeners: [{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{name: shop, namespace: edge}]
  hostnames: [shop.example]
  rules:
  - matches: [{path: {value: /web}}]
    filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]
    backendRefs: [{name: web, port: 80}]
"""


def answer(url: str, via: str = "shop") -> str:
    return str(simulate(Mesh.read([("objects", OBJECTS)]), Request(url=url, via=via)))


def test_a_route_leads_to_its_backend() -> None:
    decision = simulate(Mesh.read([("objects", OBJECTS)]), Request(url="http://shop.example/web/a", via="edge/shop"))
    assert decision.goes_to("web.default.svc.cluster.local")
    assert "GET shop.example/a" in str(decision)


def test_a_prefix_means_whole_segments() -> None:
    assert "404 NR" in answer("http://shop.example/website")


def test_other_hosts_are_not_served() -> None:
    assert "404 NR" in answer("http://other.example/web")

"""A mesh to measure with: the same number of services gives the same bytes."""

from __future__ import annotations

from collections.abc import Iterator

NAMESPACES = 20

_SERVICE = """apiVersion: v1
kind: Service
metadata:
  name: svc-{n}
  namespace: ns-{space}
  labels:
    app: svc-{n}
spec:
  clusterIP: 10.{high}.{low}.1
  selector:
    app: svc-{n}
  ports:
  - name: http
    port: 80
    targetPort: 8080
    protocol: TCP
"""
_VIRTUAL_SERVICE = """apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: svc-{n}
  namespace: ns-{space}
spec:
  hosts:
  - svc-{n}
  http:
  - name: canary
    match:
    - uri:
        prefix: /api/v{third}
      headers:
        x-canary:
          exact: "true"
    route:
    - destination:
        host: svc-{n}
        subset: v2
    timeout: 3s
    retries:
      attempts: 3
      perTryTimeout: 1s
      retryOn: 5xx,connect-failure
  - route:
    - destination:
        host: svc-{n}
        subset: v1
      weight: 90
    - destination:
        host: svc-{n}
        subset: v2
      weight: 10
    timeout: 15s
"""
_DESTINATION_RULE = """apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: svc-{n}
  namespace: ns-{space}
spec:
  host: svc-{n}
  trafficPolicy:
    connectionPool:
      tcp:
        maxConnections: 100
      http:
        http1MaxPendingRequests: 64
        maxRequestsPerConnection: 10
    outlierDetection:
      consecutive5xxErrors: 5
      interval: 10s
      baseEjectionTime: 30s
      maxEjectionPercent: 50
  subsets:
  - name: v1
    labels:
      version: v1
  - name: v2
    labels:
      version: v2
"""
_SERVICE_ENTRY = """apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: outside-{n}
  namespace: ns-{space}
spec:
  hosts:
  - api-{n}.example.com
  location: MESH_EXTERNAL
  resolution: DNS
  ports:
  - number: 443
    name: tls
    protocol: TLS
"""
_AUTHORIZATION_POLICY = """apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata:
  name: svc-{n}
  namespace: ns-{space}
spec:
  selector:
    matchLabels:
      app: svc-{n}
  action: ALLOW
  rules:
  - from:
    - source:
        namespaces:
        - ns-{space}
        - ns-1
    to:
    - operation:
        methods:
        - GET
        - POST
        paths:
        - /api/*
"""
_POD = """apiVersion: v1
kind: Pod
metadata:
  name: svc-{n}-{version}
  namespace: ns-{space}
  labels:
    app: svc-{n}
    version: {version}
spec:
  containers:
  - name: app
    image: example.com/app:1
  - name: istio-proxy
    image: example.com/proxy:1
status:
  phase: Running
  podIP: 10.{high}.{low}.{address}
"""
_GROUPS = {
    "plain": (_SERVICE, _VIRTUAL_SERVICE, _DESTINATION_RULE),
    "mixed": (_SERVICE, _VIRTUAL_SERVICE, _DESTINATION_RULE, _SERVICE_ENTRY, _AUTHORIZATION_POLICY),
}


def objects(services: int, group: str = "plain") -> str:
    """The YAML of so many services, each with what the group puts beside it: ``plain`` has a VirtualService and a
    DestinationRule, ``mixed`` a ServiceEntry and an AuthorizationPolicy as well."""
    return "---\n".join(text for n in range(services) for text in _written(_GROUPS[group], n))


def pods(services: int) -> str:
    """Two pods of each service, one of each version."""
    return "---\n".join(
        _POD.format(**_values(n), version=version, address=address)
        for n in range(services)
        for version, address in (("v1", 2), ("v2", 3))
    )


def requests(services: int, count: int) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Source, URL and headers of so many requests, from one service of the mesh to each in turn."""
    for place in range(count):
        n = place % services
        headers = {"x-canary": "true"} if place % 2 else {}
        url = f"http://svc-{n}.ns-{n % NAMESPACES}/api/v{place % 4}/books?page={place % 7}"
        yield "svc-0-v1.ns-0", url, headers


def _written(templates: tuple[str, ...], n: int) -> Iterator[str]:
    for template in templates:
        yield template.format(**_values(n))


def _values(n: int) -> dict[str, int]:
    return {"n": n, "space": n % NAMESPACES, "third": n % 3, "high": n // 250 % 250, "low": n % 250}

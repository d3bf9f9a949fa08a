"""A small mesh to ask."""

from mesh_simulation import Decision, Mesh, Request, simulate

OBJECTS = """
apiVersion: v1
kind: Namespace
metadata: {name: default, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Namespace
metadata: {name: legacy}
---
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec:
  selector: {app: reviews}
  ports: [{name: http, port: 9080}, {name: tcp-raw, port: 9999}, {name: grpc, port: 9090}]
---
apiVersion: v1
kind: Service
metadata: {name: ratings}
spec: {selector: {app: ratings}, ports: [{port: 80, targetPort: web}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: reviews-v1}
spec:
  template:
    metadata: {labels: {app: reviews, version: v1}}
    spec: {serviceAccountName: reviews, containers: [{name: app}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: reviews-v2}
spec:
  template:
    metadata: {labels: {app: reviews, version: v2}}
    spec: {serviceAccountName: reviews, containers: [{name: app}]}
---
apiVersion: v1
kind: Pod
metadata: {name: ratings, labels: {app: ratings}}
spec: {containers: [{name: app, ports: [{name: web, containerPort: 8000}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client, labels: {app: client}}
spec: {serviceAccountName: client, containers: [{name: app}]}
---
apiVersion: v1
kind: Pod
metadata: {name: old, namespace: legacy, labels: {app: old}}
spec: {containers: [{name: app}]}
---
apiVersion: v1
kind: Pod
metadata: {name: edge, namespace: legacy, labels: {istio: ingressgateway}}
spec: {serviceAccountName: edge, containers: [{name: istio-proxy}]}
"""
SUBSETS = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}, {name: v9, labels: {version: v9}}]
"""
GATEWAY = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: shop}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [shop.example.com]}]
"""
REVIEWS = "http://reviews:9080"


def virtual_service(http: str, more: str = "") -> str:
    """A VirtualService ``reviews`` with these rules, in flow style."""
    return f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: reviews}}
spec: {{hosts: [reviews], http: {http}{more}}}
"""


def mesh(*texts: str) -> Mesh:
    """The small mesh with further objects."""
    return Mesh.read([("objects.yaml", OBJECTS), *((f"file{n}.yaml", text) for n, text in enumerate(texts, 1))])


def asked(policies: str | tuple[str, ...], url: str = REVIEWS, source: str = "client", **more: object) -> Decision:
    """What becomes of a request in the mesh with these policies."""
    texts = (policies,) if isinstance(policies, str) else policies
    return simulate(mesh(*(text for text in texts if text)), Request(source, url, **more))  # type: ignore[arg-type]

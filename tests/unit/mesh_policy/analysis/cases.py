"""Short ways to write objects, and what is found about them."""

from datetime import UTC, datetime

from mesh_policy.analysis.checks import Suppression, analyze
from mesh_policy.analysis.context import Knowledge
from mesh_policy.analysis.finding import Finding
from mesh_policy.analysis.inputs import read_inputs

NOW = datetime(2026, 11, 25, tzinfo=UTC)
VERSIONS = {
    "VirtualService": "networking.istio.io/v1",
    "DestinationRule": "networking.istio.io/v1",
    "Gateway": "networking.istio.io/v1",
    "Sidecar": "networking.istio.io/v1",
    "ServiceEntry": "networking.istio.io/v1",
    "WorkloadEntry": "networking.istio.io/v1",
    "ProxyConfig": "networking.istio.io/v1beta1",
    "AuthorizationPolicy": "security.istio.io/v1",
    "PeerAuthentication": "security.istio.io/v1",
    "RequestAuthentication": "security.istio.io/v1",
    "Telemetry": "telemetry.istio.io/v1",
    "HTTPRoute": "gateway.networking.k8s.io/v1",
    "ReferenceGrant": "gateway.networking.k8s.io/v1",
    "Deployment": "apps/v1",
}


def document(kind: str, name: str, spec: str = "{}", namespace: str = "default", more: str = "") -> str:
    """An object; ``more`` goes into its metadata."""
    version = VERSIONS.get(kind, "v1")
    where = f", namespace: {namespace}" if namespace else ""
    return f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: {name}{where}{more}}}\nspec: {spec}\n---\n"


def service(
    name: str = "books", ports: str = "{name: http, port: 80}", namespace: str = "default", more: str = ""
) -> str:
    """A service that selects by ``app``."""
    return document("Service", name, f"{{selector: {{app: {name}}}, ports: [{ports}]}}", namespace, more)


def pod(name: str = "books", version: str = "v1", namespace: str = "default", more: str = "") -> str:
    """A pod of a service, with its proxy."""
    labels = f", labels: {{app: {name}, version: {version}}}{more}"
    return document("Pod", f"{name}-{version}", "{containers: [{name: istio-proxy, image: proxy}]}", namespace, labels)


def virtual(http: str, name: str = "a", more: str = "", hosts: str = "[books]", namespace: str = "default") -> str:
    """A VirtualService with rules for HTTP."""
    return document("VirtualService", name, f"{{hosts: {hosts}, {more}http: [{http}]}}", namespace)


def findings(text: str, known: Knowledge | None = None, suppress: tuple[str, ...] = ()) -> list[Finding]:
    """What is found in a file."""
    known = known or Knowledge(now=NOW)
    return analyze(read_inputs([("a.yaml", text)]), known, [Suppression.parse(item) for item in suppress])


def told(text: str, *codes: str, known: Knowledge | None = None) -> list[str]:
    """Code, object and field of each finding; with ``codes``, of those alone."""
    return [
        f"{f.code} {f.subject} {f.field}".rstrip()
        for f in findings(text, known)
        if not codes or f.code.startswith(codes)
    ]

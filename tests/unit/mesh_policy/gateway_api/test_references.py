"""What objects refer to, and where it stands."""

from typing import Any

import pytest
import yaml

from mesh_policy import load_documents
from mesh_policy.gateway_api.attachment import Reference
from mesh_policy.gateway_api.kind import GROUP
from mesh_policy.gateway_api.references import reference_of, references
from mesh_policy.yaml_text import written

ROWS: list[tuple[str, str, list[tuple[str, tuple[str, str, str, str], int | None]]]] = [
    (
        "HTTPRoute",
        """
parentRefs: [{name: g}]
rules:
- backendRefs:
  - name: a
    port: 1
    filters:
    - {type: RequestMirror, requestMirror: {backendRef: {name: b, namespace: other, port: 2}}}
  filters:
  - {type: ExtensionRef, extensionRef: {group: example.com, kind: Own, name: c}}
  - {type: ExternalAuth, externalAuth: {protocol: GRPC, grpc: {}, backendRef: {name: d, kind: Host, group: e.com}}}
""",
        [
            ("spec rules 0 filters 0 extensionRef", ("example.com", "Own", "shop", "c"), None),
            ("spec rules 0 filters 1 externalAuth backendRef", ("e.com", "Host", "shop", "d"), None),
            ("spec rules 0 backendRefs 0", ("", "Service", "shop", "a"), 1),
            ("spec rules 0 backendRefs 0 filters 0 requestMirror backendRef", ("", "Service", "other", "b"), 2),
        ],
    ),
    (
        "Gateway",
        """
gatewayClassName: istio
listeners:
- {name: a, port: 1, protocol: HTTPS, tls: {certificateRefs: [{name: a}, {name: b, kind: Own, namespace: other}]}}
infrastructure: {parametersRef: {group: '', kind: ConfigMap, name: c}}
tls:
  backend: {clientCertificateRef: {name: d}}
  frontend: {default: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: e, namespace: other}]}}}
""",
        [
            ("spec listeners 0 tls certificateRefs 0", ("", "Secret", "shop", "a"), None),
            ("spec listeners 0 tls certificateRefs 1", ("", "Own", "other", "b"), None),
            ("spec infrastructure parametersRef", ("", "ConfigMap", "shop", "c"), None),
            ("spec tls backend clientCertificateRef", ("", "Secret", "shop", "d"), None),
            (
                "spec tls frontend default validation caCertificateRefs 0",
                ("", "ConfigMap", "other", "e"),
                None,
            ),
        ],
    ),
    (
        "TCPRoute",
        "rules: [{backendRefs: [{name: a, port: 1}]}]",
        [("spec rules 0 backendRefs 0", ("", "Service", "shop", "a"), 1)],
    ),
    ("ReferenceGrant", "from: [{group: a, kind: A, namespace: b}]\nto: [{group: '', kind: Secret, name: a}]", []),
]


@pytest.mark.parametrize(("kind", "spec", "expected"), ROWS, ids=lambda value: value if isinstance(value, str) else "")
def test_references(kind: str, spec: str, expected: list[Any]) -> None:
    document = {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": {"name": "r", "namespace": "shop"}}
    (policy,) = load_documents(written(document | {"spec": yaml.safe_load(spec)}))
    found = [(" ".join(map(str, item.path)), item.target, item.port) for item in references(policy)]  # type: ignore[arg-type]
    assert found == [(path, Reference(*target), port) for path, target, port in expected]
    assert reference_of(policy) == Reference(GROUP, kind, "shop", "r")  # type: ignore[arg-type]

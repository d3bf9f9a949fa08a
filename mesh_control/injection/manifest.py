"""The MutatingWebhookConfiguration that makes an API server ask about new pods, as data. Pure."""

import base64
from collections.abc import Mapping
from typing import Any

from mesh_control.injection.decision import DISABLED, ENABLED, OWN_NAMESPACE, WITHOUT
from mesh_control.webhook.review import API_VERSION
from mesh_policy.analysis.pods import INJECT, NAMESPACE_LABEL

PATH = "/inject"
CONFIGURATION = "meshwright-injection"
TIMEOUT_SECONDS = 10
NAMES = tuple(f"{name}.injection.meshwright.io" for name in ("namespace", "own-namespace", "pod"))
"""Of the three questions: by either label of a namespace, and by the label of a pod."""
_NAME_OF_NAMESPACE = "kubernetes.io/metadata.name"


def configuration(bundle: str, client: Mapping[str, Any], control_namespace: str) -> dict[str, Any]:
    """The object. ``bundle`` (PEM) are the roots by one of which the control plane's certificate is signed.

    Fail closed: without an answer no pod of these is made, as it would run beside the mesh.
    """
    client = {**client, "caBundle": base64.b64encode(bundle.encode()).decode()}
    not_disabled = [_expression(label, "NotIn", DISABLED) for label in (NAMESPACE_LABEL, OWN_NAMESPACE)]
    unsaid = [_expression(label, "DoesNotExist") for label in (NAMESPACE_LABEL, OWN_NAMESPACE)]
    by_namespace = [_expression(INJECT, "NotIn", "false")]
    rows = (
        ([_expression(NAMESPACE_LABEL, "In", ENABLED), not_disabled[1]], by_namespace),
        # One question for a pod, also where a namespace has both labels.
        (
            [_expression(OWN_NAMESPACE, "In", ENABLED), _expression(NAMESPACE_LABEL, "NotIn", ENABLED, DISABLED)],
            by_namespace,
        ),
        (unsaid, [_expression(INJECT, "In", "true")]),
    )
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": CONFIGURATION, "labels": {"app.kubernetes.io/name": "meshwright"}},
        "webhooks": [
            _webhook(
                name, client, [*namespaces, _expression(_NAME_OF_NAMESPACE, "NotIn", *WITHOUT, control_namespace)], pods
            )
            for name, (namespaces, pods) in zip(NAMES, rows, strict=True)
        ],
    }


def _webhook(
    name: str, client: Mapping[str, Any], namespaces: list[dict[str, Any]], pods: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "name": name,
        "clientConfig": dict(client),
        "rules": [
            {
                "operations": ["CREATE"],
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "resources": ["pods"],
                "scope": "*",
            }
        ],
        "failurePolicy": "Fail",
        "matchPolicy": "Equivalent",
        "namespaceSelector": {"matchExpressions": namespaces},
        "objectSelector": {"matchExpressions": pods},
        "reinvocationPolicy": "Never",
        "sideEffects": "None",
        "timeoutSeconds": TIMEOUT_SECONDS,
        "admissionReviewVersions": [API_VERSION.rpartition("/")[2]],
    }


def _expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}

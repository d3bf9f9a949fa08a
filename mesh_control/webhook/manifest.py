"""The ValidatingWebhookConfiguration that makes an API server ask, as data. Pure."""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mesh_control.sources.kubernetes.rbac import CONFIGURATION
from mesh_control.sources.kubernetes.resources import plural_of
from mesh_control.webhook.review import API_VERSION, SHARED_GROUPS
from mesh_policy.kinds import GROUPS, KINDS

PATH = "/validate"
NAME = "validation.meshwright.io"
SKIP = "meshwright.io/validation"
"""Label of a namespace: with the value ``disabled`` nobody is asked about its objects."""
TIMEOUT_SECONDS = 10
"""How long an API server waits (the default of Kubernetes); after it, the object is refused."""


@dataclass(frozen=True, slots=True)
class ServiceReference:
    """The Service that leads to the control plane."""

    name: str = "istiod"
    namespace: str = "istio-system"
    port: int = 443

    def to_client(self, path: str = PATH) -> dict[str, Any]:
        """For ``clientConfig``."""
        return {"service": {"name": self.name, "namespace": self.namespace, "port": self.port, "path": path}}


def client_of(url: str) -> dict[str, Any]:
    """For ``clientConfig``, where the API server reaches the control plane by a URL (``https://HOST:PORT``)."""
    return {"url": url.rstrip("/") + PATH}


def configuration(bundle: str, client: Mapping[str, Any]) -> dict[str, Any]:
    """The object. ``bundle`` (PEM) are the roots by one of which the control plane's certificate is signed.

    Fail closed: what nobody could look at is not kept. It says nothing of reinvocation, which validating webhooks have not.
    """
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": CONFIGURATION, "labels": {"app.kubernetes.io/name": "meshwright"}},
        "webhooks": [
            {
                "name": NAME,
                "clientConfig": {**client, "caBundle": base64.b64encode(bundle.encode()).decode()},
                "rules": list(_rules()),
                "failurePolicy": "Fail",
                "matchPolicy": "Equivalent",
                "namespaceSelector": {"matchExpressions": [{"key": SKIP, "operator": "NotIn", "values": ["disabled"]}]},
                "objectSelector": {},
                "sideEffects": "None",
                "timeoutSeconds": TIMEOUT_SECONDS,
                "admissionReviewVersions": [API_VERSION.rpartition("/")[2]],
            }
        ],
    }


def known_resource(group: str, version: str, resource: str) -> tuple[str, str, str]:
    """The resource, when it is one of ours; else ``other`` in each place: what anybody may send makes no names of metrics."""
    kinds = [kind for (of, _), kind in KINDS.items() if of == group]
    known = any(version in kind.VERSIONS and resource == plural_of(kind) for kind in kinds)
    return (group, version, resource) if known else ("other", "other", "other")


def _rules() -> Iterator[dict[str, Any]]:
    """Of Istio's groups everything, as istiod asks for: what is never taken is refused by name. Of others our kinds alone."""
    for group in GROUPS:
        kinds = [kind for (of, _), kind in KINDS.items() if of == group]
        yield {
            "operations": ["CREATE", "UPDATE"],
            "apiGroups": [group],
            "apiVersions": ["*"],
            "resources": sorted(map(plural_of, kinds)) if group in SHARED_GROUPS else ["*"],
            "scope": "*",
        }

"""CustomResourceDefinitions of Istio's kinds, made of the models.

Those of the Gateway API are not made: it is a standard of Kubernetes with its own releases and conformance, and a cluster
has the definitions of whoever installed it first.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from mesh_policy.base import Policy
from mesh_policy.kinds import KINDS
from mesh_policy.schema.structure import Schema, schema_of


class Names(NamedTuple):
    """How a kind is called on the command line, and what ``kubectl get`` shows: column to path."""

    plural: str
    short: str = ""
    columns: tuple[tuple[str, str], ...] = ()


AGE = ("Age", ".metadata.creationTimestamp")
NAMES: dict[str, Names] = {
    "AuthorizationPolicy": Names("authorizationpolicies", "ap", (("Action", ".spec.action"), AGE)),
    "DestinationRule": Names("destinationrules", "dr", (("Host", ".spec.host"), AGE)),
    "Gateway": Names("gateways", "gw"),
    "PeerAuthentication": Names("peerauthentications", "pa", (("Mode", ".spec.mtls.mode"), AGE)),
    "ProxyConfig": Names("proxyconfigs"),
    "RequestAuthentication": Names("requestauthentications", "ra"),
    "ServiceEntry": Names(
        "serviceentries",
        "se",
        (("Hosts", ".spec.hosts"), ("Location", ".spec.location"), ("Resolution", ".spec.resolution"), AGE),
    ),
    "Sidecar": Names("sidecars"),
    "Telemetry": Names("telemetries", "telemetry", (AGE,)),
    "VirtualService": Names("virtualservices", "vs", (("Gateways", ".spec.gateways"), ("Hosts", ".spec.hosts"), AGE)),
    "WorkloadEntry": Names("workloadentries", "we", (AGE, ("Address", ".spec.address"))),
    "WorkloadGroup": Names("workloadgroups", "wg", (AGE,)),
}
"""Kind to its names, which are Istio's."""


def istio_kinds() -> list[type[Policy]]:
    """The kinds that have a definition, sorted by name."""
    return sorted((kind for kind in KINDS.values() if kind.GROUP.endswith(".istio.io")), key=lambda kind: kind.KIND)


def definitions() -> Iterator[dict[str, Any]]:
    """All definitions."""
    yield from map(definition, istio_kinds())


def definition(kind: type[Policy]) -> dict[str, Any]:
    """The definition of a kind: every version is served with one schema, and the written one is stored."""
    names = NAMES[kind.KIND]
    schema = _schema(kind)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.plural}.{kind.GROUP}"},
        "spec": {
            "group": kind.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.KIND,
                "listKind": f"{kind.KIND}List",
                "plural": names.plural,
                "singular": kind.KIND.lower(),
                "categories": ["istio-io", kind.GROUP.replace(".", "-").removesuffix("-istio-io") + "-istio-io"],
                **({"shortNames": [names.short]} if names.short else {}),
            },
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": version == kind.VERSIONS[0],
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}},
                    **({"additionalPrinterColumns": _columns(names)} if names.columns else {}),
                }
                for version in kind.VERSIONS
            ],
        },
    }


def _schema(kind: type[Policy]) -> Schema:
    spec = schema_of(kind.model_fields["spec"].annotation)
    about = (kind.model_fields["spec"].annotation.__doc__ or "").split("\n\n")[0].strip()
    return {
        "type": "object",
        "properties": {
            "spec": {"description": about, **spec},
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        },
        **({"required": ["spec"]} if kind.model_fields["spec"].is_required() else {}),
    }


def _columns(names: Names) -> list[dict[str, str]]:
    return [
        {"name": name, "jsonPath": path, "type": "date" if name == "Age" else "string"} for name, path in names.columns
    ]

"""The official definitions of the Gateway API: of its Go module, where that is on this machine."""

import os
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.support import go_programs

MODULE = go_programs.GATEWAY_API
KINDS = {
    "Gateway": "gateways",
    "GatewayClass": "gatewayclasses",
    "GRPCRoute": "grpcroutes",
    "HTTPRoute": "httproutes",
    "ReferenceGrant": "referencegrants",
    "TCPRoute": "tcproutes",
    "TLSRoute": "tlsroutes",
}
MISSING = f"no definitions of the Gateway API: neither MESHWRIGHT_GATEWAY_API_CRDS nor the Go module {MODULE} is here"


@cache
def folder() -> Path | None:
    """Where the definitions of the experimental channel are: ``MESHWRIGHT_GATEWAY_API_CRDS``, or in Go's module cache."""
    given = os.environ.get("MESHWRIGHT_GATEWAY_API_CRDS", "")
    if given:
        return Path(given)
    module = go_programs.module(MODULE)
    found = None if module is None else module / "config" / "crd" / "experimental"
    return found if found is not None and found.is_dir() else None


def files() -> list[Path]:
    """The files of our kinds' definitions."""
    where = folder()
    return [where / f"gateway.networking.k8s.io_{name}.yaml" for name in KINDS.values()] if where else []


@cache
def definition(kind: str) -> dict[str, Any]:
    """The CustomResourceDefinition of a kind."""
    where = folder()
    assert where is not None, MISSING
    text = (where / f"gateway.networking.k8s.io_{KINDS[kind]}.yaml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return found


def versions(kind: str) -> dict[str, dict[str, Any]]:
    """Version to the schema of the specification."""
    return {
        v["name"]: v["schema"]["openAPIV3Schema"]["properties"]["spec"]
        for v in definition(kind)["spec"]["versions"]
        if v["served"]
    }


def rules(kind: str) -> set[str]:
    """What the CEL rules of all versions say when they are broken."""

    def walk(schema: Any) -> set[str]:
        if isinstance(schema, list):
            return set().union(*map(walk, schema))
        if not isinstance(schema, dict):
            return set()
        own = schema.get("x-kubernetes-validations", ())
        return {rule["message"] for rule in own}.union(*map(walk, schema.values()))

    return set().union(*(walk(schema) for schema in versions(kind).values()))

"""One JSON schema of all kinds, for editors: which alternative holds is told by apiVersion and kind."""

from typing import Any

from mesh_policy.base import Policy
from mesh_policy.kinds import KINDS
from mesh_policy.schema.structure import Schema, schema_of

_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}


def json_schema() -> dict[str, Any]:
    """The schema: by apiVersion and kind the one alternative whose errors an editor shows."""
    rules = [
        {
            "if": {
                "required": ["apiVersion", "kind"],
                "properties": {"apiVersion": {"enum": _versions(kind)}, "kind": {"const": kind.KIND}},
            },
            "then": _document(kind),
        }
        for kind in KINDS.values()
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Traffic policies",
        "type": "object",
        "required": ["apiVersion", "kind", "metadata"],
        "anyOf": [rule["if"] for rule in rules],
        "allOf": rules,
    }


def _versions(kind: type[Policy]) -> list[str]:
    return [f"{kind.GROUP}/{version}" for version in kind.VERSIONS]


def _document(kind: type[Policy]) -> Schema:
    spec = kind.model_fields["spec"]
    metadata = {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string"},
            "namespace": {"type": "string"},
            "labels": _TEXTS,
            "annotations": _TEXTS,
        },
    }
    return {
        "properties": {"metadata": metadata, "spec": _closed(schema_of(spec.annotation))},
        **({"required": ["spec"]} if spec.is_required() else {}),
    }


def _closed(schema: Schema) -> Schema:
    """The schema with every object refusing further fields, and plain JSON schema for what Kubernetes has a word for."""
    if "x-kubernetes-int-or-string" in schema:
        return {"type": ["integer", "string"]} | {k: v for k, v in schema.items() if not k.startswith("x-")}
    made = dict(schema)
    if "properties" in made:
        made["properties"] = {name: _closed(inner) for name, inner in made["properties"].items()}
        made["additionalProperties"] = False
    elif "additionalProperties" in made:
        made["additionalProperties"] = _closed(made["additionalProperties"])
    if "items" in made:
        made["items"] = _closed(made["items"])
    return made

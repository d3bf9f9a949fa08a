"""The models against the official schemas of their kinds: every field, its type, its values, and whether it is required.

The schemas are data kept beside the project; without them there is nothing to test here.
"""

import typing
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union

import pytest
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mesh_policy import KINDS, Policy

ROOT = Path(__file__).resolve().parents[3]
SCHEMAS = ROOT.parent / "shared" / "istio-api" / "customresourcedefinitions.gen.yaml"

pytestmark = pytest.mark.skipif(
    not SCHEMAS.exists(), reason="the official schemas are not beside the project, at ../shared/istio-api"
)

STRICTER = {
    "Gateway.servers": "required: a gateway without servers opens nothing, and Istio's webhook refuses it",
    "VirtualService.tcp.route": "required: nothing else says where the connection goes; Istio's webhook refuses it too",
    "VirtualService.tls.route": "required, as for TCP",
    "DestinationRule.*.portLevelSettings.port": "required: settings for no port are for nothing",
    "DestinationRule.*.tunnel.protocol": "one of CONNECT and POST: Istio's webhook takes nothing else",
    "*.port.number": "required: there is nothing else to say about a port",
    "VirtualService.http.rewrite.uriRegexRewrite.match": "required, together with rewrite",
    "VirtualService.http.rewrite.uriRegexRewrite.rewrite": "required, together with match",
}
"""Where a model asks for more than the schema, with the reason; ``*`` stands for any part of the path."""
ALIASES = {"VirtualService.http.mirror_percent": "the old spelling of mirrorPercent, which is read as such"}
TYPES = {str: "string", timedelta: "string", int: "integer", float: "number", bool: "boolean"}


def inner(annotation: Any) -> Any:
    """Without ``None`` and without what pydantic checks."""
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return inner(typing.get_args(annotation)[0])
    if origin in (Union, UnionType):
        (left,) = (argument for argument in typing.get_args(annotation) if argument is not type(None))
        return inner(left)
    return annotation


def differences(schema: dict[str, Any], annotation: Any, path: str) -> Iterator[str]:
    """Where an annotation says other things than the schema."""
    kind = inner(annotation)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        if set(arguments) != set(schema.get("enum", ())) and not is_stricter(path):
            yield f"{path}: allowed are {arguments}, in the schema {schema.get('enum')}"
    elif schema.get("enum"):
        yield f"{path}: any text is taken, in the schema {schema['enum']}"
    elif origin is tuple:
        yield from expected(path, schema, "array")
        yield from differences(schema.get("items", {}), arguments[0], path)
    elif origin is dict:
        yield from expected(path, schema, "object")
        yield from differences(schema.get("additionalProperties", {}), arguments[1], path)
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        yield from expected(path, schema, "object")
        yield from fields(schema, kind, path)
    else:
        yield from expected(path, schema, TYPES[kind])


def expected(path: str, schema: dict[str, Any], kind: str) -> Iterator[str]:
    if schema.get("type") != kind:
        yield f"{path}: is {kind}, in the schema {schema.get('type')}"


def fields(schema: dict[str, Any], model: type[BaseModel], path: str) -> Iterator[str]:
    ours: dict[str, FieldInfo] = {
        info.serialization_alias or info.alias or name: info for name, info in model.model_fields.items()
    }
    theirs: dict[str, Any] = schema["properties"]
    for name in sorted(theirs.keys() - ours.keys()):
        if f"{path}.{name}" not in ALIASES:
            yield f"{path}.{name}: is missing"
    for name in sorted(ours.keys() - theirs.keys()):
        yield f"{path}.{name}: is not in the schema"
    for name in sorted(theirs.keys() & ours.keys()):
        here, required = f"{path}.{name}", name in schema.get("required", ())
        if required and not ours[name].is_required():
            yield f"{here}: may be left out, and must not in the schema"
        elif ours[name].is_required() and not required and not is_stricter(here):
            yield f"{here}: must be there, and may be left out in the schema"
        yield from differences(theirs[name], ours[name].annotation, here)


def is_stricter(path: str) -> bool:
    return any(
        path.startswith(start) and path.endswith(end)
        for start, star, end in (pattern.partition("*") for pattern in STRICTER)
        if star or start == path
    )


def official() -> dict[str, dict[str, Any]]:
    """Kind to the schema of the specification, the same in every version."""
    found = {}
    for definition in yaml.safe_load_all(SCHEMAS.read_text(encoding="utf-8")):
        kind = definition["spec"]["names"]["kind"] if definition else None
        if definition and (definition["spec"]["group"], kind) in KINDS:
            specs = [
                v["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
                for v in definition["spec"]["versions"]
            ]
            assert all(spec == specs[0] for spec in specs)
            found[kind] = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return found


@pytest.mark.parametrize("kind", [k for k in KINDS.values() if k.GROUP.endswith("istio.io")], ids=lambda k: k.KIND)
def test_the_model_is_the_schema(kind: type[Policy]) -> None:
    schema = official()[kind.KIND]
    assert sorted(differences(schema, kind.model_fields["spec"].annotation, kind.KIND)) == []

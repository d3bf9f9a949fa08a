"""Writes the pages of ``docs/reference`` that are made of models: ``python -m mesh_policy.schema.reference [--check]``.

``--check`` writes nothing and ends with 1 when one is stale.
"""

import argparse
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mesh_policy.base import Policy
from mesh_policy.durations import format_duration
from mesh_policy.kinds import KINDS
from mesh_policy.mesh_config import MeshConfig, MeshNetworks, ProxyConfig
from mesh_policy.schema.structure import Schema, descriptions, models_of, schema_of, yaml_names

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "reference"
NOTE = "Made by `python -m mesh_policy.schema.reference`; edit the models in mesh_policy/ instead."


def policies() -> str:
    """The page of the kinds."""
    lines = ["# Policies", "", f"<!-- {NOTE} -->", ""]
    lines += ["Every kind with every field, its type, and its default. Which version was read makes no difference.", ""]
    for kind in sorted(KINDS.values(), key=lambda kind: kind.title()):
        lines += _kind(kind)
    return "\n".join(lines).rstrip() + "\n"


def mesh_configuration() -> str:
    """The page of the settings of a mesh."""
    about = (
        "The settings of a whole mesh: a file with a MeshConfig, or the ConfigMap `istio` with it as `data.mesh` and the",
        "networks as `data.meshNetworks`. A pod's annotation `proxy.istio.io/config` holds a ProxyConfig over the mesh's.",
        "What is not set has Istio's default. Numbers may stand in quotes.",
    )
    lines = ["# Mesh configuration", "", f"<!-- {NOTE} -->", "", *about, ""]
    lines += _models([MeshConfig, ProxyConfig, MeshNetworks], "##")
    return "\n".join(lines).rstrip() + "\n"


PAGES: Mapping[str, Callable[[], str]] = {"policies.md": policies, "mesh-configuration.md": mesh_configuration}
"""The pages, and what makes each."""


def _kind(kind: type[Policy]) -> Iterator[str]:
    yield from (f"## {kind.title()}", "")
    yield from (f"apiVersion: {', '.join(f'`{kind.GROUP}/{version}`' for version in kind.VERSIONS)}.", "")
    yield from _models(models_of(kind.model_fields["spec"].annotation), "###")


def _models(roots: Sequence[type[BaseModel]], heading: str) -> Iterator[str]:
    """The models and what they are made of, each once."""
    waiting, seen = [*roots], set[type[BaseModel]]()
    while waiting:
        model = waiting.pop(0)
        if model in seen:
            continue
        seen.add(model)
        model.model_rebuild()  # it is built when it is first needed, and knows the names of its fields only then
        yield from _model(model, heading)
        waiting += [inner for info in model.model_fields.values() for inner in models_of(info.annotation)]


def _model(model: type[BaseModel], heading: str) -> Iterator[str]:
    yield from (f"{heading} {model.__name__}", "")
    about = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", inspect.cleandoc(model.__doc__ or "").replace("``", "`"))
    yield from (*about.splitlines(), "")
    if not model.model_fields:
        return
    yield from ("| field | type | default | meaning |", "| --- | --- | --- | --- |")
    told = descriptions(model)
    for name, info in model.model_fields.items():
        written = yaml_names(name, info)[0]
        meaning = told.get(name, "").replace("|", "\\|")
        yield f"| `{written}` | {_type(info)} | {_default(info)} | {meaning} |"
    yield ""


def _type(info: FieldInfo) -> str:
    models = models_of(info.annotation)
    return _words(schema_of(info.annotation, tuple(info.metadata)), " or ".join(model.__name__ for model in models))


def _words(schema: Schema, models: str) -> str:
    if "x-kubernetes-int-or-string" in schema:
        return "number or text"
    if "x-kubernetes-preserve-unknown-fields" in schema:
        return "anything"
    match schema["type"]:
        case "array":
            return f"list of {_words(schema['items'], models)}"
        case "object" if "additionalProperties" in schema:
            return f"map of {_words(schema['additionalProperties'], models)}"
        case "object":
            return models
        case "string" if "enum" in schema:
            return ", ".join(f"`{value}`" for value in schema["enum"])
        case kind:
            return {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}[kind]


def _default(info: FieldInfo) -> str:
    default: Any = info.default
    if info.is_required():
        return "required"
    if info.default_factory or default in (None, "", ()):
        return "unset"
    match default:
        case bool():
            return f"`{str(default).lower()}`"
        case timedelta():
            return f"`{format_duration(default)}`"
        case tuple():
            return ", ".join(f"`{item}`" for item in default)
    return f"`{default}`"


def main() -> int:
    """Write the pages, or look whether they are the models'."""
    parser = argparse.ArgumentParser(description="Write the pages of docs/reference that are made of models.")
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 when one is stale")
    check = parser.parse_args().check
    stale = [name for name, made in PAGES.items() if not (FOLDER / name).exists() or _read(name) != made()]
    for name in stale:
        if check:
            sys.stderr.write(f"{name} is stale: run `python -m mesh_policy.schema.reference`\n")
        else:
            (FOLDER / name).write_text(PAGES[name](), encoding="utf-8")
    return 1 if check and stale else 0


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())

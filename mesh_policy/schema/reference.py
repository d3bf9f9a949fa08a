"""Writes ``docs/reference/policies.md``: ``python -m mesh_policy.schema.reference [--check]``.

``--check`` writes nothing and ends with 1 when the file is stale.
"""

import argparse
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mesh_policy.base import Policy
from mesh_policy.kinds import KINDS
from mesh_policy.schema.structure import Schema, descriptions, models_of, schema_of, yaml_names

FILE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "policies.md"
NOTE = "Made by `python -m mesh_policy.schema.reference`; edit the models in mesh_policy/ instead."


def text() -> str:
    """The whole page."""
    lines = ["# Policies", "", f"<!-- {NOTE} -->", ""]
    lines += ["Every kind with every field, its type, and its default. Which version was read makes no difference.", ""]
    for kind in sorted(KINDS.values(), key=lambda kind: kind.title()):
        lines += _kind(kind)
    return "\n".join(lines).rstrip() + "\n"


def _kind(kind: type[Policy]) -> Iterator[str]:
    yield from (f"## {kind.title()}", "")
    yield from (f"apiVersion: {', '.join(f'`{kind.GROUP}/{version}`' for version in kind.VERSIONS)}.", "")
    waiting = models_of(kind.model_fields["spec"].annotation)
    seen: set[type[BaseModel]] = set()
    while waiting:
        model = waiting.pop(0)
        if model in seen:
            continue
        seen.add(model)
        yield from _model(model)
        waiting += [inner for info in model.model_fields.values() for inner in models_of(info.annotation)]


def _model(model: type[BaseModel]) -> Iterator[str]:
    yield from (f"### {model.__name__}", "")
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
    return "unset" if default is None or info.default_factory else f"`{default}`"


def main() -> int:
    """Write the page, or look whether it is the models'."""
    parser = argparse.ArgumentParser(description="Write docs/reference/policies.md.")
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 when it is stale")
    if not parser.parse_args().check:
        FILE.write_text(text(), encoding="utf-8")
        return 0
    if FILE.exists() and FILE.read_text(encoding="utf-8") == text():
        return 0
    sys.stderr.write(f"{FILE.name} is stale: run `python -m mesh_policy.schema.reference`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())

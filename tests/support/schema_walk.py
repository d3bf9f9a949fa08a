"""Models against the schema of a CustomResourceDefinition: every field, its type, its values, and whether it is required."""

import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import UnionType
from typing import Annotated, Any, Literal, Union

from pydantic import BaseModel
from pydantic.fields import FieldInfo

TYPES = {str: "string", timedelta: "string", int: "integer", float: "number", bool: "boolean"}


def inner(annotation: Any) -> tuple[Any, ...]:
    """The one thing, or the choices, without ``None`` and without what pydantic checks."""
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return inner(typing.get_args(annotation)[0])
    if origin in (Union, UnionType):
        arguments = typing.get_args(annotation)
        return tuple(kind for argument in arguments if argument is not type(None) for kind in inner(argument))
    return (annotation,)


@dataclass(frozen=True)
class Walk:
    """``stricter`` says where a model may ask for more, with the reason (``*`` stands for any part of a path); ``aliases``
    which fields of the schema a model reads under another name."""

    stricter: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)

    def differences(self, schema: dict[str, Any], annotation: Any, path: str) -> Iterator[str]:
        """Where an annotation says other things than the schema."""
        kind, *others = inner(annotation)
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if others:
            yield from _expected(path, schema, "object")
            yield from self.fields(schema, (kind, *others), path)
        elif origin is Literal:
            if set(arguments) != set(schema.get("enum", ())) and not self._is_stricter(path):
                yield f"{path}: allowed are {arguments}, in the schema {schema.get('enum')}"
        elif schema.get("enum"):
            yield f"{path}: any text is taken, in the schema {schema['enum']}"
        elif origin is tuple:
            yield from _expected(path, schema, "array")
            yield from self.differences(schema.get("items", {}), arguments[0], path)
        elif origin is dict:
            yield from _expected(path, schema, "object")
            yield from self.differences(schema.get("additionalProperties", {}), arguments[1], path)
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _expected(path, schema, "object")
            yield from self.fields(schema, (kind,), path)
        else:
            yield from _expected(path, schema, TYPES[kind])

    def fields(self, schema: dict[str, Any], models: tuple[type[BaseModel], ...], path: str) -> Iterator[str]:
        """Fields that the model, or all classes of a tagged choice together, have more, less, or otherwise."""
        ours: dict[str, FieldInfo] = {
            info.serialization_alias or info.alias or name: info
            for model in models
            for name, info in model.model_fields.items()
        }
        theirs: dict[str, Any] = schema["properties"]
        chosen = len(models) > 1
        for name in sorted(theirs.keys() - ours.keys()):
            if f"{path}.{name}" not in self.aliases:
                yield f"{path}.{name}: is missing"
        for name in sorted(ours.keys() - theirs.keys()):
            yield f"{path}.{name}: is not in the schema"
        for name in sorted(theirs.keys() & ours.keys()):
            here, required = f"{path}.{name}", name in schema.get("required", ())
            if chosen and name == "type":
                tags = {model.model_fields["type"].default for model in models}
                if tags != set(theirs[name]["enum"]):
                    yield f"{here}: chosen between {sorted(tags)}, in the schema {sorted(theirs[name]['enum'])}"
                continue
            if required and not ours[name].is_required():
                yield f"{here}: may be left out, and must not in the schema"
            elif ours[name].is_required() and not required and not chosen and not self._is_stricter(here):
                yield f"{here}: must be there, and may be left out in the schema"
            yield from self.differences(theirs[name], ours[name].annotation, here)

    def _is_stricter(self, path: str) -> bool:
        return any(
            path.startswith(start) and path.endswith(end)
            for start, star, end in (pattern.partition("*") for pattern in self.stricter)
            if star or start == path
        )


def _expected(path: str, schema: dict[str, Any], kind: str) -> Iterator[str]:
    if schema.get("type") != kind:
        yield f"{path}: is {kind}, in the schema {schema.get('type')}"

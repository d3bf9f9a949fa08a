"""The structural schema (OpenAPI v3, as Kubernetes wants it) of a model.

A choice between classes is one object with the fields of all: a structural schema has no alternatives. What a schema cannot
say, the models check when an object is read.
"""

import ast
import inspect
import re
import sys
import typing
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, Union

import annotated_types
from pydantic import AliasChoices, BaseModel, JsonValue, StringConstraints
from pydantic.fields import FieldInfo

Schema = dict[str, Any]
TYPES: Mapping[type, str] = {str: "string", timedelta: "string", int: "integer", float: "number", bool: "boolean"}


def schema_of(annotation: Any, limits: tuple[Any, ...] = ()) -> Schema:
    """The schema of a type, with the limits that the field or the type itself sets."""
    choices = list(_choices(annotation, limits))
    kind, limits = choices[0]
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is JsonValue:
        return {"x-kubernetes-preserve-unknown-fields": True}
    if len(choices) > 1 and not all(_is_model(choice) for choice, _ in choices):
        return {"x-kubernetes-int-or-string": True}
    if origin is Literal:
        return {"type": TYPES[type(arguments[0])], "enum": sorted(arguments)}
    if origin is tuple:
        return {"type": "array", "items": schema_of(arguments[0]), **_limits(limits, "Items")}
    if origin is dict:
        return {"type": "object", "additionalProperties": schema_of(arguments[1]), **_limits(limits, "Properties")}
    if _is_model(kind):
        return object_of(*(choice for choice, _ in choices))
    suffix = {"string": "Length", "integer": "imum", "number": "imum"}.get(TYPES[kind], "")
    return {"type": TYPES[kind], **({} if kind is timedelta else _limits(limits, suffix))}


def object_of(*models: type[BaseModel]) -> Schema:
    """The schema of a model, or of a choice between several."""
    properties: Schema = {}
    required: set[str] | None = None
    for model in models:
        told = descriptions(model)
        own = set()
        for name, info in model.model_fields.items():
            made = schema_of(info.annotation, tuple(info.metadata))
            if told.get(name):
                made = {"description": told[name], **made}
            for written in yaml_names(name, info):
                known = properties.get(written)
                if known is not None and "enum" in known and "enum" in made:
                    made["enum"] = sorted({*known["enum"], *made["enum"]})
                properties[written] = made
            if info.is_required():
                own.add(yaml_names(name, info)[0])
        required = own if required is None else required & own
    return {"type": "object", "properties": properties} | ({"required": sorted(required)} if required else {})


def yaml_names(name: str, info: FieldInfo) -> list[str]:
    """The names that a field is read by, the written one first."""
    written = info.serialization_alias or info.alias or name
    others = info.validation_alias.choices if isinstance(info.validation_alias, AliasChoices) else []
    return [written, *(str(other) for other in others if other != written)]


def models_of(annotation: Any) -> list[type[BaseModel]]:
    """The models in a type, however deep in lists and maps."""
    found = [inner for argument in typing.get_args(annotation) for inner in models_of(argument)]
    return [annotation] if _is_model(annotation) else list(dict.fromkeys(found))


@cache
def descriptions(model: type[BaseModel]) -> Mapping[str, str]:
    """The docstrings of a model's fields, by the fields' names in Python; those of what it inherits among them."""
    found: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        if issubclass(cls, BaseModel) and cls is not BaseModel:
            found |= _of_module(cls.__module__).get(cls.__qualname__, {})
    return found


@cache
def _of_module(name: str) -> Mapping[str, Mapping[str, str]]:
    tree = ast.parse(inspect.getsource(sys.modules[name]))
    return {node.name: dict(_documented(node)) for node in tree.body if isinstance(node, ast.ClassDef)}


def _documented(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, after in zip(node.body, node.body[1:], strict=False):
        match field, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, re.sub(r"\s+", " ", re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text.replace("``", "`"))).strip()


def _choices(annotation: Any, limits: tuple[Any, ...]) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """What a value may be, each with its limits; ``None`` means "unset" and is no choice."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        yield from _choices(arguments[0], (*limits, *arguments[1:]))
    elif origin in (Union, UnionType):
        for argument in arguments:
            if argument is not type(None):
                yield from _choices(argument, limits)
    else:
        yield annotation, limits


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _limits(found: tuple[Any, ...], suffix: str) -> Schema:
    made: Schema = {}
    for limit in _single(found):
        match limit, suffix:
            case annotated_types.Ge(ge=value), "imum":
                made["minimum"] = value
            case annotated_types.Le(le=int(value) | float(value)), "imum" if value <= 2**53:  # it is kept as a float
                made["maximum"] = value
            case ((annotated_types.MinLen(min_length=value) | StringConstraints(min_length=int(value))), _) if suffix:
                made[f"min{suffix}"] = value
            case _:
                pass
        if suffix in ("Length", "Items", "Properties") and isinstance(getattr(limit, "max_length", None), int):
            made[f"max{suffix}"] = limit.max_length
    return made


def _single(found: tuple[Any, ...]) -> Iterator[Any]:
    """Limits one by one: ``Field`` in a type holds several."""
    for limit in found:
        yield from limit.metadata if isinstance(limit, FieldInfo) else (limit,)

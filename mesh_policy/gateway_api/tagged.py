"""Choices by the field ``type``: each type has a class of its own, with the one field that goes with it."""

import difflib
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import ConfigDict, ValidationInfo, ValidatorFunctionWrapHandler

from mesh_policy.base import YAML_NAMES, Model, camel
from mesh_policy.gateway_api.refusals import Refusal, refuse, refused


def _needs_type(schema: dict[str, Any]) -> None:
    schema["required"] = ["type", *schema.get("required", ())]


class Choice(Model):
    """One of a choice. In Python ``type`` follows from the class; in YAML it is required."""

    model_config = ConfigDict(json_schema_extra=_needs_type)

    type: str
    """Which of the choices this is. In YAML it must be written; in Python it follows from the class."""


Chooser = Callable[[Any, ValidatorFunctionWrapHandler, ValidationInfo], Any]


def by_type(*classes: type[Choice]) -> Chooser:
    """A wrapping validator that hands a map to the class of its ``type``.

    Errors then carry paths as they are in YAML: pydantic's own tagged unions put the tag into them.
    """
    types: dict[str, type[Choice]] = {c.model_fields["type"].default: c for c in classes}
    owners = {field: tag for tag, c in types.items() for field in c.model_fields if field != "type"}
    in_yaml = {camel(field): tag for field, tag in owners.items()}

    def choose(value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        if not isinstance(value, dict):
            if isinstance(value, classes):
                return value
            raise ValueError("must be a map of fields")
        tag = value.get("type")
        if not isinstance(tag, str) or tag not in types:
            wrong = "is required" if tag is None else f"{tag!r} is unknown"
            raise refused(value, [(("type",), f"{wrong}; allowed are {', '.join(types)}")])
        by_name = info.context != YAML_NAMES
        known = in_yaml | owners if by_name else in_yaml
        refuse(value, _strangers(value, tag, known))
        own = {name: item for name, item in value.items() if name == "type" or known[name] == tag}
        return types[tag].model_validate(own, by_alias=True, by_name=by_name, context=info.context)

    return choose


def _strangers(value: dict[str, Any], tag: str, known: dict[str, str]) -> Iterator[Refusal]:
    """Fields of other types, if they hold anything, and fields that there are not."""
    for name, item in value.items():
        if name in known and known[name] != tag and item is not None:
            yield (name,), f"goes with type {known[name]}, and this is of type {tag}; remove it, or change the type"
        elif name not in known and name != "type":
            near = difflib.get_close_matches(str(name), known, n=1)
            own = next(field for field, owner in known.items() if owner == tag)
            yield (
                (name,),
                f"there is no such field; {f'did you mean {near[0]}?' if near else f'allowed are type and {own}'}",
            )

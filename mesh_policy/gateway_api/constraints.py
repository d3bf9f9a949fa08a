"""What a definition says about a text or a list: pattern, length, members that may not stand twice."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from mesh_policy.gateway_api.refusals import refuse, twice


@dataclass(frozen=True, slots=True)
class Text:
    """A text of ``least`` to ``most`` characters; ``what`` says in words what the pattern wants.

    The pattern is searched as Go does: ``$`` is the end of the text and never stands before a last newline.
    """

    what: str
    pattern: str = ""
    most: int = 253
    least: int = 1
    compiled: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "compiled", re.compile(re.sub(r"(?<!\\)\$(?=$|[|)])", r"\\Z", self.pattern)))

    def check(self, value: str) -> str:
        """The text itself. Raises :class:`ValueError` with what is wanted."""
        if not self.least <= len(value) <= self.most:
            size = f"{self.least} to {self.most}" if self.least else f"at most {self.most}"
            raise ValueError(f"has {len(value)} characters; {size} are allowed")
        if not self.compiled.search(value):
            raise ValueError(f"{value!r} is not {self.what}")
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        limits = {"maxLength": self.most, "minLength": self.least, "pattern": self.pattern}
        return {**handler(schema), **{name: limit for name, limit in limits.items() if limit}}


@dataclass(frozen=True, slots=True)
class Items:
    """A list of ``least`` to ``most`` items, no two with the same ``key``; ``""`` stands for the item itself."""

    most: int | None = None
    least: int = 0
    key: str | None = None

    def check(self, value: Sequence[Any]) -> Sequence[Any]:
        """The list itself. Raises an error that names the item which stands twice."""
        if self.most is not None and len(value) > self.most:
            raise ValueError(f"has {len(value)} items; at most {self.most} are allowed")
        if len(value) < self.least:
            raise ValueError(f"must have at least {self.least} item{'s' * (self.least > 1)}")
        if self.key is not None:
            name = self.key
            keys = (getattr(item, name) if name else item for item in value)
            refuse(value, [((place,), f"{name} {key!r} stands twice; keep one".strip()) for place, key in twice(keys)])
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        limits = {"maxItems": self.most, "minItems": self.least, "uniqueItems": self.key == ""}
        return {**handler(schema), **{name: limit for name, limit in limits.items() if limit}}


@dataclass(frozen=True, slots=True)
class Entries:
    """A map of at most ``most`` entries. As in Kubernetes, one without a value is as if it were not there."""

    most: int | None = None

    def check(self, value: dict[str, Any]) -> dict[str, Any]:
        """The map itself."""
        if self.most is not None and len(value) > self.most:
            raise ValueError(f"has {len(value)} entries; at most {self.most} are allowed")
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        checked = core_schema.no_info_after_validator_function(self.check, handler(source))
        return core_schema.no_info_before_validator_function(_given, checked)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(schema) | ({} if self.most is None else {"maxProperties": self.most})


def _given(value: object) -> object:
    return {key: item for key, item in value.items() if item is not None} if isinstance(value, dict) else value

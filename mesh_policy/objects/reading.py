"""Reading plain values with errors that name the field. What a kind of ours does not ask for is passed over."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mesh_policy.positions import Path

_NO_FIELDS: Mapping[str, object] = {}


class ObjectError(ValueError):
    """A field that cannot be read: its path in the object, and what is wrong."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


@dataclass(frozen=True, slots=True)
class Fields:
    """A map of fields at a path. ``null`` counts as unset, as Kubernetes takes it."""

    values: Mapping[str, object]
    path: Path = ()

    @classmethod
    def of(cls, value: object, path: Path = ()) -> "Fields":
        """The value as a map; of nothing an empty one."""
        if value is None:
            return cls(_NO_FIELDS, path)
        if not isinstance(value, dict):
            raise ObjectError(path, f"must be a map of fields, not {_shown(value)}")
        return cls(value, path)

    def inner(self, name: str) -> "Fields":
        """The map in a field; an empty one where there is none."""
        return Fields.of(self.values.get(name), (*self.path, name))

    def has(self, name: str) -> bool:
        """Whether the field is set."""
        return self.values.get(name) is not None

    def text(self, name: str, default: str = "") -> str:
        """Text of a field."""
        value = self.values.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise ObjectError((*self.path, name), f"must be text, not {_shown(value)}{_quotes(value)}")
        return value

    def required(self, name: str) -> str:
        """Text of a field that must be there."""
        value = self.text(name)
        if not value:
            raise ObjectError((*self.path, name), "is required")
        return value

    def whole(self, name: str) -> int | None:
        """A whole number of a field."""
        value = self.values.get(name)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        hint = "; write it without quotes" if isinstance(value, str) and value.isdecimal() else ""
        raise ObjectError((*self.path, name), f"must be a whole number, not {_shown(value)}{hint}")

    def port(self, name: str) -> int:
        """A port number that must be there."""
        value = self.whole(name)
        if value is None:
            raise ObjectError((*self.path, name), "is required")
        if not 1 <= value <= 65535:
            raise ObjectError((*self.path, name), f"{value} is no port; ports go from 1 to 65535")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """``true`` or ``false``."""
        value = self.values.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise ObjectError((*self.path, name), f"must be true or false, not {_shown(value)}")
        return value

    def texts(self, name: str) -> Mapping[str, str]:
        """A map of text, such as labels."""
        value = self.values.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise ObjectError((*self.path, name), f"must be a map of fields, not {_shown(value)}")
        for key, item in value.items():
            if not isinstance(item, str):
                if item is None:
                    return {str(k): str(v or "") for k, v in value.items()}
                raise ObjectError((*self.path, name, key), f"must be text, not {_shown(item)}{_quotes(item)}")
        return value

    def items(self, name: str) -> Iterator["Fields"]:
        """The maps of a list."""
        value = self.values.get(name)
        if value is None:
            return
        if not isinstance(value, list):
            raise ObjectError((*self.path, name), f"must be a list, not {_shown(value)}")
        for place, item in enumerate(value):
            yield Fields.of(item, (*self.path, name, place))


def _shown(value: object) -> str:
    if isinstance(value, list):
        return "a list"
    return "a map" if isinstance(value, dict) else repr(value)


def _quotes(value: object) -> str:
    return "; put it in quotes" if isinstance(value, bool | int | float) else ""

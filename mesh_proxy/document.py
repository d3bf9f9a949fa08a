"""A settings document read strictly: every error names its place, and what nobody asked for is an error too."""

from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml


class DocumentError(ValueError):
    """What is wrong, and where: ``file: path.of.field: reason``."""


class _StrictLoader(yaml.SafeLoader):
    """YAML (and JSON, which is YAML) without the silent loss of a key that stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise DocumentError(f"line {key_node.start_mark.line + 1}: {key} stands there twice")
            if isinstance(key, Hashable):
                seen.add(key)
        return super().construct_mapping(node, deep)


def load_document(file: Path) -> "Section":
    """The document in ``file``. Raises :class:`DocumentError` when it cannot be read or is no mapping."""
    try:
        value = yaml.load(file.read_text(encoding="utf-8"), _StrictLoader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise DocumentError(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DocumentError(f"{file}: not UTF-8: {error}") from None
    except DocumentError as error:
        raise DocumentError(f"{file}: {error}") from None
    except yaml.YAMLError as error:
        raise DocumentError(f"{file}: {' '.join(str(error).split())}") from None
    return Section(value, (), str(file))


class Section:
    """A mapping of the document. Each field is taken by name and type; :meth:`close` refuses the fields left over."""

    def __init__(self, value: Any, path: tuple[str, ...], file: str) -> None:
        self._path = path
        self._file = file
        self._taken: set[str] = set()
        if not isinstance(value, dict):
            raise self.error(f"expected a mapping, found {_describe(value)}")
        self._value: dict[str, Any] = value
        for key in value:
            if not isinstance(key, str):
                raise self.error(f"the key {key!r} is not a string")

    def error(self, reason: str, *fields: str) -> DocumentError:
        """An error at this section, or at ``fields`` below it."""
        place = ".".join((*self._path, *fields)).replace(".[", "[")
        return DocumentError(": ".join(part for part in (self._file, place, reason) if part))

    def __contains__(self, name: str) -> bool:
        return self._value.get(name) is not None

    @property
    def names(self) -> tuple[str, ...]:
        """Of all fields."""
        return tuple(self._value)

    def as_dict(self) -> dict[str, Any]:
        """The whole section as it stands; every field counts as taken."""
        self._taken.update(self._value)
        return self._value

    def section(self, name: str) -> "Section | None":
        """The mapping under ``name``, ``None`` when it is absent."""
        value = self._take(name)
        return None if value is None else Section(value, (*self._path, name), self._file)

    def required(self, name: str) -> "Section":
        """As :meth:`section`, an error when it is absent."""
        found = self.section(name)
        if found is None:
            raise self.error("is missing", name)
        return found

    def sections(self, name: str) -> list["Section"]:
        """The list of mappings under ``name``; empty when it is absent."""
        value = self._take(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.error(f"expected a list, found {_describe(value)}", name)
        return [Section(item, (*self._path, name, f"[{place}]"), self._file) for place, item in enumerate(value)]

    def text(self, name: str, default: str | None = None, among: Iterable[str] = ()) -> str:
        """A string; with no ``default`` it must be there, and ``among`` lists the values that are known."""
        value = self._take(name)
        if value is None and default is not None:
            return default
        if value is None:
            raise self.error("is missing", name)
        if not isinstance(value, str):
            raise self.error(f"expected a string, found {_describe(value)}", name)
        known = tuple(among)
        if known and value not in known:
            raise self.error(f"{value!r} is none of {', '.join(known)}", name)
        return value

    def integer(self, name: str, low: int, high: int, default: int | None = None) -> int:
        """A whole number from ``low`` to ``high``."""
        value = self._take(name)
        if value is None and default is not None:
            return default
        if value is None:
            raise self.error("is missing", name)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.error(f"expected a whole number from {low} to {high}, found {_describe(value)}", name)
        return value

    def number(self, name: str, low: float, high: float, default: float) -> float:
        """A number from ``low`` to ``high``."""
        value = self._take(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self.error(f"expected a number from {low:g} to {high:g}, found {_describe(value)}", name)
        return float(value)

    def flag(self, name: str, *, default: bool) -> bool:
        """True or false."""
        value = self._take(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.error(f"expected true or false, found {_describe(value)}", name)
        return value

    def only(self, name: str, *allowed: Any) -> None:
        """Takes a field that may be absent or have one of the ``allowed`` values: we can do nothing else."""
        value = self._take(name)
        if value is not None and value not in allowed:
            choice = " or ".join(repr(each) for each in allowed)
            raise self.error(f"{value!r} is not supported, only {choice}", name)

    def ignore(self, reasons: Mapping[str, str]) -> None:
        """Leaves out the fields that change nothing for us."""
        self._taken.update(reasons)

    def close(self) -> None:
        """An error when a field is left that nobody took."""
        for name in self._value:
            if name not in self._taken:
                raise self.error("is not known here, or not supported", name)

    def _take(self, name: str) -> Any:
        self._taken.add(name)
        return self._value.get(name)


def _describe(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else repr(value)

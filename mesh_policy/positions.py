"""YAML with the line of every field."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from mesh_policy.errors import PolicyError, Problem

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document: plain values, and the line (from 1) of each path into them."""

    value: Any
    lines: dict[Path, int]

    def line(self, path: Path) -> int:
        """The line of the path, or of the nearest thing around it that has one."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 0)


class _Loader(yaml.SafeLoader):
    """Plain values as Kubernetes reads them: a label such as ``2026-01-01`` is no date, ``1:20`` is no number."""


_OWN = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:int")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _OWN]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^(?:[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+|0o?[0-7]+)$"), list("-+0123456789")
)


def documents(text: str, source: str) -> Iterator[Document]:
    """The documents of a stream, empty ones left out. Raises :class:`PolicyError` for what is not YAML."""
    try:
        loader = _Loader(text)
        while loader.check_node():
            node = loader.get_node()
            if node is None:
                continue
            lines: dict[Path, int] = {}
            _walk(node, (), lines, source)
            value = loader.construct_document(node)
            if value is not None:
                yield Document(value, lines)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 0
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise PolicyError([Problem(source, line, "not YAML", "", str(reason))]) from None


def _walk(node: yaml.Node, path: Path, lines: dict[Path, int], source: str) -> None:
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if key.value in seen:
                line = key.start_mark.line + 1
                raise PolicyError([Problem(source, line, "not YAML", str(key.value), "the key stands twice")])
            seen.add(key.value)
            _walk(value, (*path, key.value), lines, source)
            lines[(*path, key.value)] = key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for place, item in enumerate(node.value):
            _walk(item, (*path, place), lines, source)

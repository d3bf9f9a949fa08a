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


MAX_DEPTH, MAX_NODES = 64, 500_000
"""How deep values may be nested, and how many a document may have with every alias written out: enough for a list of ten
thousand policies. A few lines of aliases to aliases stand for more values than any memory holds."""


def documents(text: str, source: str) -> Iterator[Document]:
    """The documents of a stream, empty ones left out. Raises :class:`PolicyError` for what is not YAML."""
    try:
        loader = _Loader(text)
        while loader.check_node():
            node = loader.get_node()
            if node is None:
                continue
            walk = _Walk(source)
            walk(node, ())
            value = loader.construct_document(node)
            if value is not None:
                yield Document(value, walk.lines)
    except PolicyError:
        raise
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 0
        reason = str(getattr(error, "problem", None) or str(error).splitlines()[0])
        if "'\\t'" in reason:
            reason += "; YAML takes blanks for indentation, not tabs"
        raise PolicyError([Problem(source, line, "not YAML", "", reason)]) from None
    except RecursionError:
        raise PolicyError([_too_deep(source, 0)]) from None
    except (ValueError, OverflowError) as error:  # such as `!!int x`, or a timestamp on the 32nd day
        raise PolicyError([Problem(source, 0, "not YAML", "", str(error))]) from None


def _too_deep(source: str, line: int) -> Problem:
    return Problem(
        source, line, "not YAML", "", f"values are nested deeper than {MAX_DEPTH} levels, or hold themselves"
    )


class _Walk:
    """Goes through a document once: writes down lines, refuses what no policy is, and mends addresses."""

    def __init__(self, source: str) -> None:
        self.lines: dict[Path, int] = {}
        self._source = source
        self._nodes = 0

    def __call__(self, node: yaml.Node, path: Path) -> None:
        line = node.start_mark.line + 1
        self.lines[path] = line
        self._nodes += 1
        if len(path) > MAX_DEPTH:
            raise PolicyError([_too_deep(self._source, line)])
        if self._nodes > MAX_NODES:
            reason = f"more than {MAX_NODES} values with every alias written out; write fewer"
            raise PolicyError([Problem(self._source, line, "not YAML", "", reason)])
        if isinstance(node, yaml.MappingNode):
            self._mapping(node, path)
        elif isinstance(node, yaml.SequenceNode):
            node.value = [_address(item) or item for item in node.value]
            for place, item in enumerate(node.value):
                self(item, (*path, place))

    def _mapping(self, node: yaml.MappingNode, path: Path) -> None:
        seen = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise PolicyError(
                    [Problem(self._source, line, "not YAML", "", "a key must be text, not a list or map")]
                )
            if key.value in seen:
                raise PolicyError([Problem(self._source, line, "not YAML", str(key.value), "the key stands twice")])
            seen.add(key.value)
            self(value, (*path, key.value))
            self.lines[(*path, key.value)] = line


def _address(node: yaml.Node) -> yaml.Node | None:
    """``[1.2.3.4, 2001:db8::]``: what Kubernetes' parser reads as an address, and YAML's own as a map without value."""
    if not isinstance(node, yaml.MappingNode) or len(node.value) != 1:
        return None
    key, value = node.value[0]
    bare = isinstance(key, yaml.ScalarNode) and isinstance(value, yaml.ScalarNode) and not value.value
    braces = key.start_mark.index != node.start_mark.index
    if not bare or braces or not node.flow_style or not re.fullmatch(r"[0-9a-fA-F:]+:", key.value):
        return None
    return yaml.ScalarNode("tag:yaml.org,2002:str", f"{key.value}:", key.start_mark, value.end_mark)

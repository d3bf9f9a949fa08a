"""YAML by PyYAML's own tree of nodes: whatever is out of the ordinary (anchors, tags, merged keys), and every mistake.

Slower than :mod:`mesh_policy.yaml_values`, which reads ordinary documents, and the judge of what those are equal to.
"""

import re
from collections.abc import Mapping
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.constructor import ConstructorError, SafeConstructor
from yaml.resolver import Resolver

from mesh_policy.errors import PolicyError, Problem
from mesh_policy.yaml_events import MAX_DEPTH, Path, Span, too_deep
from mesh_policy.yaml_scalars import plain

MAX_NODES = 500_000
"""How many values a document may have with every alias written out: enough for a list of ten thousand policies. A few lines
of aliases to aliases stand for more values than any memory holds."""


class Rules(SafeConstructor, Resolver):
    """Plain values as Kubernetes reads them (:mod:`mesh_policy.yaml_scalars`)."""

    def __init__(self) -> None:
        SafeConstructor.__init__(self)
        Resolver.__init__(self)

    def resolve(self, kind: type[yaml.Node], value: str, implicit: tuple[bool, bool]) -> str:
        """The tag of a node that has none; ``implicit`` tells whether it stands without quotes."""
        if kind is yaml.ScalarNode and implicit[0]:
            return _MERGE if value == "<<" else TAGS[type(plain(value))]
        return str(super().resolve(kind, value, implicit))  # type: ignore[no-untyped-call]

    def construct_plain(self, node: yaml.ScalarNode) -> Any:
        """The value of a number or truth value, also where a tag says what it is."""
        text = self.construct_scalar(node)
        value = plain(str(text))
        if node.tag == TAGS[float] and type(value) is int:
            return float(value)
        if TAGS[type(value)] != node.tag:
            raise ConstructorError(None, None, f"{text!r} is no {node.tag.rpartition(':')[2]}", node.start_mark)
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Keys are text, as in JSON, which Kubernetes makes of YAML: the port in ``portLevelMtls: {8080: ...}``."""
        if not isinstance(node, yaml.MappingNode):  # a list with the tag of a map
            return dict(super().construct_mapping(node, deep))
        self.flatten_mapping(node)
        return {_key(self.construct_object(key)): self.construct_object(value, deep) for key, value in node.value}


TAGS: Mapping[type, str] = {
    kind: f"tag:yaml.org,2002:{name}"
    for kind, name in ((str, "str"), (bool, "bool"), (int, "int"), (float, "float"), (type(None), "null"))
}
"""The tag of a value."""
_MERGE = "tag:yaml.org,2002:merge"
for _kind in (bool, int, float):
    Rules.add_constructor(TAGS[_kind], Rules.construct_plain)  # type: ignore[type-var]  # a stub that knows no subclass


def _key(key: Any) -> Any:
    if isinstance(key, bool):
        return "true" if key else "false"
    return str(key) if isinstance(key, int) else f"{key:g}" if isinstance(key, float) else key


class _Nodes(Composer, Rules):
    """Makes nodes of a parser's events, and values of nodes."""

    def __init__(self, span: Span) -> None:
        parser = span.parser()
        Composer.__init__(self)
        Rules.__init__(self)
        self.check_event, self.peek_event, self.get_event = parser.check_event, parser.peek_event, parser.get_event


def read(span: Span, source: str) -> tuple[object, dict[Path, int]]:
    """The value of the document that begins there, and the line of each path into it.

    Raises PyYAML's errors, ``RecursionError`` for values too deep even to be composed, and :class:`PolicyError` for what YAML
    allows and Kubernetes does not.
    """
    nodes = _Nodes(span)
    nodes.check_node()  # steps over the beginning of the stream
    node: yaml.Node = nodes.compose_document()  # type: ignore[assignment]  # the stub allows for None
    walk = _Walk(source, span.line)
    walk(node, ())
    return nodes.construct_document(node), walk.lines


class _Walk:
    """Goes through a document once: writes down lines, refuses what no policy is, and mends addresses."""

    def __init__(self, source: str, first_line: int) -> None:
        self.lines: dict[Path, int] = {}
        self._source = source
        self._first_line = first_line
        self._nodes = 0

    def __call__(self, node: yaml.Node, path: Path) -> None:
        line = node.start_mark.line + self._first_line
        self.lines[path] = line
        self._nodes += 1
        if len(path) > MAX_DEPTH:
            raise PolicyError([too_deep(self._source, line)])
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
            line = key.start_mark.line + self._first_line
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

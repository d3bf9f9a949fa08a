"""Fields of Envoy's API that are newer than the messages of ``xds-protos``: added to those messages when they are imported.

A finder stands before Python's own and amends the description of a file in its module, so that the field is one like any
other, on the wire and in JSON. A field that ``xds-protos`` has by itself is left as it is: take it out of :data:`NEWER`
then, and this module away with the last one (a test says when).
"""

import ast
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any, Final, NamedTuple


class NewerField(NamedTuple):
    """A field of ``message`` (its name in the file, dotted): one of ``type_name``, which stands in ``file``, or a bool."""

    message: str
    name: str
    number: int
    type_name: str = ""
    file: str = ""


NEWER: Final[dict[str, tuple[NewerField, ...]]] = {
    # Envoy 1.39: requests count for a time.
    "envoy.config.cluster.v3.circuit_breaker_pb2": (
        NewerField(
            "CircuitBreakers.Thresholds.RetryBudget",
            "budget_interval",
            3,
            ".google.protobuf.Duration",
            "google/protobuf/duration.proto",
        ),
    ),
    # Envoy 1.38: spans are reported and the next one is not told.
    "envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2": (
        NewerField("HttpConnectionManager.Tracing", "no_context_propagation", 13),
    ),
}
"""By the module that lacks them."""


def install() -> None:
    """From now on the modules are imported with their newer fields.

    :raises ImportError: one of them was imported before: ``mesh_api.xds`` must come first.
    """
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    if early := [name for name in NEWER if name in sys.modules]:
        raise ImportError(
            f"{early[0]} was imported before mesh_api.xds, which adds fields to it: import mesh_api.xds first"
        )
    sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in NEWER:
            return None
        found = PathFinder.find_spec(fullname, path, target)
        if found is None or found.origin is None:
            return None
        return importlib.util.spec_from_file_location(fullname, found.origin, loader=_Loader(fullname, found.origin))


class _Loader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        """Always from the source: bytecode in the file's cache is that of the module as others see it."""
        path = self.get_filename(fullname)
        module = _Amendment(NEWER[fullname]).visit(ast.parse(self.get_data(path)))
        return compile(module, path, "exec", dont_inherit=True)


class _Amendment(ast.NodeTransformer):
    """``AddSerializedFile(b"...")`` of a generated module gets the amended bytes."""

    def __init__(self, fields: tuple[NewerField, ...]) -> None:
        self._fields = fields

    def visit_Call(self, node: ast.Call) -> ast.Call:
        if isinstance(node.func, ast.Attribute) and node.func.attr == "AddSerializedFile":
            (argument,) = node.args
            if isinstance(argument, ast.Constant) and isinstance(argument.value, bytes):
                node.args = [ast.copy_location(ast.Constant(_amended(argument.value, self._fields)), argument)]
        return node


def _amended(serialized: bytes, fields: tuple[NewerField, ...]) -> bytes:
    from google.protobuf import descriptor_pb2

    file = descriptor_pb2.FileDescriptorProto.FromString(serialized)
    for field in fields:
        _add(file, field)
    return bytes(file.SerializeToString())


def _add(file: Any, field: NewerField) -> None:
    from google.protobuf import duration_pb2 as _duration_pb2  # noqa: F401  (what a field needs must be known by then)

    first, *nested = field.message.split(".")
    message = next(found for found in file.message_type if found.name == first)
    for name in nested:
        message = next(found for found in message.nested_type if found.name == name)
    if any(known.number == field.number for known in message.field):
        return
    kind = message.field.add(name=field.name, number=field.number, label=1)
    kind.type = 11 if field.type_name else 8  # TYPE_MESSAGE, TYPE_BOOL
    if field.type_name:
        kind.type_name = field.type_name
        if field.file not in file.dependency:
            file.dependency.append(field.file)

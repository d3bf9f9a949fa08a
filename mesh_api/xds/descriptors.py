"""Descriptors of the messages inside ``Any``, found when protobuf's JSON asks for them.

Protobuf's JSON refuses an ``Any`` whose type has no descriptor in the pool, and a descriptor is there only after its module
was imported. Importing all of ``xds-protos`` costs seconds and memory that a sidecar does not have, so modules are
imported by the name that protobuf missed.
"""

import importlib
import pkgutil
import re
from collections.abc import Callable
from typing import TypeVar

from google.protobuf import descriptor_pb2, descriptor_pool, json_format

from mesh_api.xds.ignored import IGNORED_TYPES

Result = TypeVar("Result")

_MISSING = re.compile(r"Can not find message descriptor by type_url: (?:[\w./]*/)?([\w.]+)")
_KNOWN_PACKAGE = re.compile(r"(envoy|udpa|xds)(\.[a-z][a-z0-9_]*)+")


def with_descriptors(convert: Callable[[], Result], *, opaque: bool) -> Result:
    """Runs ``convert``, again after each descriptor that it missed was found.

    A type that ``xds-protos`` lacks becomes an empty message when it is in the table of ignored types, or when ``opaque``
    is set (for dumps, which must show what is there). Otherwise protobuf's own error goes to the caller.
    """
    tried: set[str] = set()
    while True:
        try:
            return convert()
        except (TypeError, json_format.Error) as error:  # the first when writing, the second when reading
            missing = _MISSING.search(str(error))
            if missing is None or missing[1] in tried:
                raise
            tried.add(missing[1])
            if not _import_package(missing[1]):
                if not opaque and missing[1] not in IGNORED_TYPES:
                    raise
                _register_empty(missing[1])


def _import_package(name: str) -> bool:
    """Imports the modules of the message's package; whether the message is known afterwards.

    ``name`` may come from the network, so only packages that ``xds-protos`` owns are looked at.
    """
    package_name = name.rpartition(".")[0]
    if not _KNOWN_PACKAGE.fullmatch(package_name):
        return False
    try:
        package = importlib.import_module(package_name)
    except ImportError:
        return False
    for module in pkgutil.iter_modules(package.__path__):
        if module.name.endswith("_pb2"):
            importlib.import_module(f"{package_name}.{module.name}")
    return _is_known(name)


def _is_known(name: str) -> bool:
    try:
        descriptor_pool.Default().FindMessageTypeByName(name)
    except KeyError:
        return False
    return True


def _register_empty(name: str) -> None:
    package, _, message = name.rpartition(".")
    file = descriptor_pb2.FileDescriptorProto(name=f"meshwright/{name}.proto", package=package, syntax="proto3")
    file.message_type.add(name=message)
    descriptor_pool.Default().AddSerializedFile(file.SerializeToString())

"""``?mask=`` of ``/config_dump``: parts of a dump by the paths of a ``FieldMask``. Pure.

https://www.envoyproxy.io/docs/envoy/latest/operations/admin#get--config_dump?mask=
"""

from collections.abc import Mapping
from typing import Any, Final

_TYPE: Final = "@type"
Json = dict[str, Any]


class MaskError(ValueError):
    """A mask that fits nothing."""


def masked(configs: list[Json], mask: str) -> list[Json]:
    """The parts of a whole dump that a mask names; what it cannot name is left out. Raises :class:`MaskError`."""
    paths = _paths(mask)
    found = [trimmed(config, mask) for config in configs if _fits(config, paths)]
    if not found:
        raise MaskError(f"FieldMask {mask} could not be successfully applied to any configs.")
    return found


def trimmed(item: Json, mask: str) -> Json:
    """One message with the parts that a mask names."""
    made: Json = {}
    for path in _paths(mask):
        _take(item, path, made)
    return {_TYPE: item[_TYPE], **made} if _TYPE in item else made


def _paths(mask: str) -> list[list[str]]:
    return [path.split(".") for path in mask.split(",") if path]


def _fits(config: Json, paths: list[list[str]]) -> bool:
    """Whether the message has the fields that the mask begins with."""
    from envoy.admin.v3 import config_dump_pb2, config_dump_shared_pb2  # all of Envoy's API: when somebody asks

    name = str(config.get(_TYPE, "")).rpartition(".")[2]
    message = getattr(config_dump_pb2, name, None) or getattr(config_dump_shared_pb2, name, None)
    if message is None:
        return False
    known = message.DESCRIPTOR.fields_by_name
    return any(path[0] in known for path in paths)


def _take(item: Mapping[str, Any], path: list[str], made: Json) -> None:
    name, rest = path[0], path[1:]
    if name not in item:
        return
    value = item[name]
    if not rest or not isinstance(value, Mapping):
        made[name] = value
        return
    inner = made.setdefault(name, {_TYPE: value[_TYPE]} if _TYPE in value else {})
    _take(value, rest, inner)

"""Whether a configuration could be run, and everything that it asks for in vain: ``mesh-proxy check``.

Nothing is opened, resolved or connected to.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from mesh_api.config import ProxyConfig, Secret
from mesh_api.xds.errors import DecodeError
from mesh_api.xds.json import resource_from_json
from mesh_proxy.snapshot import Builder, Snapshot, SnapshotError
from mesh_proxy.support import refused

DUMPED: Final = {"cds": "clusters", "eds": "endpoints", "lds": "listeners", "rds": "routes"}
"""Files of a folder of resources, and the sections of a configuration that they are."""
_NOT_DECODED: Final = "UNKNOWN_TYPE_URL"
"""Stands in dumps of control planes where whoever wrote them did not know a type."""


def problems(config: ProxyConfig, secrets: tuple[Secret, ...] = ()) -> list[str]:
    """What cannot be run of a configuration, each with the name of its resource; empty: all of it can."""
    found = []
    for section, noun in (("listeners", "listener"), ("routes", "route configuration"), ("clusters", "cluster")):
        for resource in getattr(config, section):
            found += [f"{noun} {resource.name}: {problem}" for problem in dict.fromkeys(refused(resource))]
    found += [f"{name}: is referred to and not there" for name in config.missing()]
    if not found:
        try:
            Builder(Snapshot(), random.random, secrets).build(config)
        except SnapshotError as error:
            found.append(str(error))
    return found


def dumped(folder: Path) -> tuple[ProxyConfig, list[str]]:
    """The resources of ``cds.json``, ``lds.json``, ``rds.json`` and ``eds.json`` (lists in Envoy's JSON; one that is not
    there is empty), and what is wrong with those that cannot be read.

    Raises :class:`OSError` for a folder without any of them, :class:`ValueError` for a file that is no list of JSON.
    """
    files = {section: folder / f"{name}.json" for name, section in DUMPED.items()}
    if not any(file.is_file() for file in files.values()):
        raise FileNotFoundError(f"{folder}: there is none of {', '.join(file.name for file in files.values())}")
    sections: dict[str, tuple[Any, ...]] = {}
    wrong: list[str] = []
    for section, file in files.items():
        made = []
        for value in _resources(file):
            try:
                made.append(resource_from_json(section, value))
            except DecodeError as error:
                wrong.append(f"{file.name}: {error}")
        sections[section] = tuple(made)
    return ProxyConfig(**sections), wrong


def _resources(file: Path) -> Iterator[dict[str, Any]]:
    if not file.is_file():
        return
    try:
        value = json.loads(file.read_bytes())
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ValueError(f"{file}: expected a list of resources")
    yield from map(_known, value)


def _known(value: Any) -> Any:
    """The value with the stand-ins for types that its writer did not know turned back into them."""
    if isinstance(value, list):
        return [_known(item) for item in value]
    if not isinstance(value, dict):
        return value
    inner = value.get("value")
    if isinstance(inner, dict) and _NOT_DECODED in inner:
        return {"@type": inner[_NOT_DECODED]}
    return {key: _known(item) for key, item in value.items()}

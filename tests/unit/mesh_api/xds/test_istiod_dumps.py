"""What a real istiod emits decodes, and comes back the same.

The dumps are data kept beside the project; without them there is nothing to test here.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh_api.xds.decode import decode_resource
from mesh_api.xds.encode import encode_resource
from mesh_api.xds.json import resource_from_json
from mesh_api.xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE

DUMPS = Path(__file__).parents[5] / "shared" / "istiod-dumps"
FILES = {"cds": CLUSTER, "eds": ENDPOINT, "lds": LISTENER, "rds": ROUTE}
FOLDERS = sorted(DUMPS.glob("*/*/")) if DUMPS.is_dir() else []
PROXIES = [folder for folder in FOLDERS if (folder / "cds.json").exists()]

pytestmark = pytest.mark.skipif(not PROXIES, reason="the dumps of a real istiod are not here")


def restored(value: Any) -> Any:
    """The dump with its stand-ins (a Struct that names an unknown type) turned back into that type."""
    if isinstance(value, list):
        return [restored(item) for item in value]
    if not isinstance(value, dict):
        return value
    inner = value.get("value")
    if isinstance(inner, dict) and "UNKNOWN_TYPE_URL" in inner:
        return {"@type": inner["UNKNOWN_TYPE_URL"]}
    return {key: restored(item) for key, item in value.items()}


def resources(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, type_url in FILES.items():
        for resource in restored(json.loads((folder / f"{name}.json").read_text())):
            yield type_url, resource


@pytest.mark.parametrize("folder", PROXIES, ids=[f"{folder.parent.name}-{folder.name}" for folder in PROXIES])
def test_everything_decodes(folder: Path) -> None:
    for type_url, value in resources(folder):
        resource = resource_from_json(type_url, value)
        assert decode_resource(type_url, encode_resource(resource)) == resource


def test_all_eleven_are_read() -> None:
    assert len({folder.parent for folder in PROXIES}) == 11

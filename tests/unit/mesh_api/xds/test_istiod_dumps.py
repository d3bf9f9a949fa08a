"""What a real istiod emits decodes, but for the external authorization that this mesh has not built yet.

The dumps are data kept beside the project; without them there is nothing to test here.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh_api.xds.decode import DecodeError, decode_resource
from mesh_api.xds.encode import encode_resource
from mesh_api.xds.json import resource_from_json
from mesh_api.xds.resources import BY_TYPE_URL
from mesh_api.xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE

DUMPS = Path(__file__).parents[5] / "shared" / "istiod-dumps"
FILES = {"cds": CLUSTER, "eds": ENDPOINT, "lds": LISTENER, "rds": ROUTE}
FOLDERS = sorted(DUMPS.glob("*/*/")) if DUMPS.is_dir() else []
PROXIES = [folder for folder in FOLDERS if (folder / "cds.json").exists()]

NOT_YET = "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz is not supported"
"""All that may be refused."""

UNSUPPORTED_FILTERS = ("ext_authz",)

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


def without_unsupported(value: Any) -> Any:
    """The resource as it would be without filters that are not built, so that all the rest of it is decoded."""
    if isinstance(value, list):
        return [without_unsupported(item) for item in value if not _is_unsupported(item)]
    if isinstance(value, dict):
        return {key: without_unsupported(item) for key, item in value.items()}
    return value


def _is_unsupported(item: Any) -> bool:
    type_url = item.get("typed_config", {}).get("@type", "") if isinstance(item, dict) else ""
    return any(f".{name}." in type_url for name in UNSUPPORTED_FILTERS)


def resources(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, type_url in FILES.items():
        for resource in restored(json.loads((folder / f"{name}.json").read_text())):
            yield type_url, resource


@pytest.mark.parametrize("folder", PROXIES, ids=[f"{folder.parent.name}-{folder.name}" for folder in PROXIES])
def test_everything_decodes_or_is_refused_by_name(folder: Path) -> None:
    for type_url, value in resources(folder):
        known = without_unsupported(value)
        resource = resource_from_json(type_url, known)
        assert decode_resource(type_url, encode_resource(resource)) == resource
        if known != value:
            with pytest.raises(DecodeError) as error:
                resource_from_json(type_url, value)
            assert f" {value[BY_TYPE_URL[type_url].name_field]}: " in str(error.value)
            assert str(error.value).endswith(NOT_YET)


def test_all_eleven_are_read() -> None:
    assert len({folder.parent for folder in PROXIES}) == 11

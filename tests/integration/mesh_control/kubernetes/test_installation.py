"""What ``mesh manifests`` prints, as a real API server takes it: no field that it does not know, nothing that it refuses."""

import json
from typing import Any

import pytest

from mesh_control import settings
from mesh_control.installation import control
from mesh_control.installation.objects import objects
from mesh_control.installation.values import Gateway, GatewayPort, Installation
from mesh_control.sources.kubernetes.api import APPLY, ApiError
from tests.support.kube_apiserver import Client, path_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the programs' first build

STRICT = {"fieldManager": "meshwright", "force": "true", "fieldValidation": "Strict"}
WHOLE = Installation(
    namespace="mesh",
    replicas=3,
    pull_secrets=("login",),
    network="east",
    trust_domain="shop.example",
    gateways=(
        Gateway(
            name="front",
            label="front",
            address="192.0.2.10",
            replicas=2,
            ports=(GatewayPort(name="http", port=80, node_port=30080), GatewayPort(name="tcp", port=31400)),
            annotations={"metallb.io/address-pool": "public"},
        ),
        Gateway(name="back", label="back", type="ClusterIP"),
    ),
    mesh_config={"accessLogEncoding": "JSON", "defaultConfig": {"concurrency": 2}},
)


def said(value: dict[str, Any]) -> dict[str, Any]:
    """An object without what the server notes of its writes."""
    metadata = {k: v for k, v in value["metadata"].items() if k not in ("managedFields", "resourceVersion")}
    return {**value, "metadata": metadata}


@pytest.mark.parametrize("values", [Installation(), WHOLE], ids=["default", "everything"])
async def test_a_server_takes_every_object(client: Client, values: Installation) -> None:
    made = list(objects(values))
    kept: list[dict[str, Any]] = []
    try:
        for value in made:
            await client.api.request("PATCH", path_of(value), value, STRICT, APPLY)
            kept.append(value)
        # Once more changes nothing, which is what a second run of whoever applies them relies on.
        for value in made:
            before = said(await client.get(value))
            await client.api.request("PATCH", path_of(value), value, STRICT, APPLY)
            assert said(await client.get(value)) == before
    finally:
        # Webhooks first: nobody is there to answer what they ask.
        for value in reversed(kept):
            if value["kind"] not in ("CustomResourceDefinition", "Namespace"):
                await client.delete(value)


async def test_a_field_that_it_does_not_know_is_refused(client: Client) -> None:
    deployment = next(value for value in objects(Installation(namespace="default")) if value["kind"] == "Deployment")
    text = json.dumps(deployment).replace('"readinessProbe"', '"readynessProbe"')
    with pytest.raises(ApiError, match="readynessProbe"):
        await client.api.request("PATCH", path_of(deployment), json.loads(text), STRICT, APPLY)


@pytest.mark.parametrize("values", [Installation(), WHOLE], ids=["default", "everything"])
def test_the_control_plane_takes_its_settings(values: Installation) -> None:
    settings.Settings.model_validate(control.settings(values))

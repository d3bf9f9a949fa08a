"""``mesh proxy-config``, of a control plane that answers from a table."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from mesh_api.config import Cluster, ClusterType
from mesh_api.xds.encode import encode_resource
from mesh_api.xds.session import TypeStatus
from mesh_api.xds.type_urls import ADS_ORDER, CLUSTER, ROUTE
from mesh_cli.commands import app
from mesh_control.client import ControlClient
from mesh_control.config_dump import config_dump

TAKEN = TypeStatus(True, "2", "2", False, "")


@pytest.fixture(autouse=True)
def control(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(self: ControlClient, proxy: str) -> dict[str, Any]:
        taken = {**{url: {} for url in ADS_ORDER}, CLUSTER: {"a": encode_resource(Cluster("a", ClusterType.STATIC))}}
        status = {**dict.fromkeys(ADS_ORDER, TAKEN), ROUTE: TypeStatus(True, "3", "2", False, "80: too long")}
        return config_dump(taken, status)

    monkeypatch.setattr(ControlClient, "proxy_config", answer)


def test_a_table_and_what_was_refused() -> None:
    result = CliRunner().invoke(app, ["proxy-config", "store.default"])
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1].split() == ["clusters", "a", "STATIC", "2"]
    assert "routes: NACKED: 80: too long" in result.stderr


def test_one_part_as_envoys_json() -> None:
    result = CliRunner().invoke(app, ["proxy-config", "store.default", "clusters", "-o", "json"])
    (config,) = json.loads(result.stdout)["configs"]
    assert config["dynamic_active_clusters"][0]["cluster"]["name"] == "a"


def test_a_part_that_is_none() -> None:
    result = CliRunner().invoke(app, ["proxy-config", "store.default", "secrets"])
    assert result.exit_code == 2
    assert "'secrets' is none of clusters, listeners, routes, endpoints" in result.stderr

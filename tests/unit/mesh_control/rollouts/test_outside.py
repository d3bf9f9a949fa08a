"""Releases by the login of a cluster: what its API server says of the policies decides whether a release begins."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import pytest

from mesh_control.client import ControlError
from mesh_control.rollouts import entries, outside, replicas
from mesh_control.rollouts.outside import ClusterReleases
from mesh_control.sources.kubernetes.access import Access
from mesh_control.sources.kubernetes.api import ApiError
from tests.unit.mesh_control.rollouts.test_runner import rollout

HOME = "/api/v1/namespaces/mesh/configmaps"
WRITTEN = f"POST {HOME}"


@dataclass
class Server:
    """An API server with the ConfigMap of the replicas, a Service, and refusals by the end of a path."""

    refusals: dict[str, ApiError] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    maps: dict[str, dict[str, str]] = field(default_factory=lambda: {replicas.NAME: {"one": "{}"}})

    def __call__(self, access: Access) -> Self:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def request(
        self, method: str, path: str, body: Any = None, query: Mapping[str, str] | None = None, content: str = ""
    ) -> Any:
        self.asked.append(f"{method} {path}" + (f" {dict(query)}" if query else ""))
        for end, error in self.refusals.items():
            if path.endswith(end):
                raise error
        name = path.rpartition("/")[2]
        if method == "GET" and path.startswith(HOME) and name not in self.maps:
            raise ApiError(404, "not found")
        if self.asked[-1] == WRITTEN:
            self.maps[entries.NAME] = body["data"]
        return {"data": self.maps.get(name, {}), "metadata": {"resourceVersion": "1"}}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()
    monkeypatch.setattr(outside, "Api", made)
    return made


RELEASES = ClusterReleases(Access("http://cluster"), "mesh", lambda: 1000.0)
TOLD = json.dumps(rollout().to_document())
NAME = rollout().name


async def test_it_is_written_once_the_cluster_would_take_its_policies(server: Server) -> None:
    begun = await RELEASES.start_rollout(TOLD)
    assert begun["phase"] == "progressing"
    dry = [asked for asked in server.asked if "dryRun" in asked]
    assert [asked.split("/")[-1] for asked in dry] == [
        "destinationrules {'dryRun': 'All'}",
        "virtualservices {'dryRun': 'All'}",
    ]
    assert server.asked.index(dry[-1]) < server.asked.index(WRITTEN)
    assert json.loads(server.maps[entries.NAME][NAME])["state"]["phase"] == "progressing"
    server.asked.clear()
    assert await RELEASES.start_rollout(TOLD) == begun
    assert [asked for asked in server.asked if not asked.startswith("GET")] == []  # said twice


SERVICE = rollout().release.service


@pytest.mark.parametrize(
    ("end", "error", "status", "told"),
    [
        ("/virtualservices", ApiError(409, "exists"), 422, "the cluster has an object of that name; remove it"),
        ("/virtualservices", ApiError(422, "the webhook denied it: MESH0001"), 422, "VirtualService .*MESH0001"),
        ("/destinationrules", ApiError(403, "may not create"), 422, "DestinationRule .*: may not create"),
        (f"/services/{SERVICE}", ApiError(404, "not found"), 422, f"there is no Service {SERVICE} in the namespace"),
        ("/virtualservices", ApiError(500, "the webhook is away"), 500, "^the webhook is away$"),
        (f"/services/{SERVICE}", ApiError(0, "no connection"), 0, "^no connection$"),
        (replicas.NAME, ApiError(404, "not found"), 404, "no control plane tells of itself in the namespace mesh"),
    ],
    ids=str,
)
async def test_what_is_refused_is_not_written(
    server: Server, end: str, error: ApiError, status: int, told: str
) -> None:
    server.refusals[end] = error
    with pytest.raises(ControlError, match=told) as refused:
        await RELEASES.start_rollout(TOLD)
    assert refused.value.status == status
    assert WRITTEN not in server.asked

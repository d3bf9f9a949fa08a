"""The control plane as a process over a real API server: its status shows the source and what is wrong in the cluster."""

from pathlib import Path

import pytest
import yaml

from mesh_control.client import ControlClient
from mesh_control.sources.kubernetes.rbac import LEASE
from tests.integration.mesh_control.harness import ControlPlane
from tests.integration.mesh_control.kubernetes.watched import poll
from tests.support.kube_apiserver import Client, Server
from tests.unit.mesh_control.sources.kubernetes.clusters import service

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the programs' first build


async def test_the_status_shows_the_source_and_its_problems(
    server: Server, client: Client, istio_kinds: None, tmp_path: Path
) -> None:
    plane = ControlPlane(tmp_path)
    settings = yaml.safe_load(plane.config.read_text())
    section = {"kubeconfig": str(server.kubeconfig()), "identity": "process"}
    plane.config.write_text(yaml.safe_dump({**settings, "kubernetes": section}))
    metadata = {"name": "bad", "namespace": "default"}
    spec = {"host": "books", "subsets": [{"name": "v1", "labels": {}}, {"name": "v1", "labels": {}}]}
    rule = {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": metadata, "spec": spec}
    await client.apply(service("books", clusterIP="10.96.8.1"), rule)
    plane.start()
    try:
        asked = ControlClient(plane.socket)
        found = await poll(asked.status, lambda status: any("DestinationRule" in line for line in status["problems"]))
        assert {"name": "kubernetes", "synced": True} in found["sources"]
        everything = await asked.world()
        assert "books.default.svc.cluster.local" in [item["hostname"] for item in everything["services"]]
        await poll(
            lambda: client.get(rule),
            lambda value: [c["reason"] for c in value.get("status", {}).get("conditions", ())] == ["Invalid"] * 3,
        )
    finally:
        ended = plane.end()
        await client.delete(service("books"), rule)
    assert ended == 0, plane.log
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": LEASE}}
    assert not (await client.get(lease))["spec"].get("holderIdentity"), plane.log

"""A cluster of an API server for the benchmark of control planes: its nodes are played by kwok, its pods have no containers.

The programs and the objects are those of the tests (:mod:`tests.support.many_pods`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mesh_api.xds.type_urls import ENDPOINT, ROUTE
from mesh_control.sources.kubernetes.api import MERGE
from mesh_policy.schema.crds import definitions
from tests.support import go_programs, kube_apiserver, many_pods, simulated_nodes
from tests.support.kube_apiserver import Client, path_of

from meshwright_tools.bench.measure import CommandError
from meshwright_tools.bench.meshes import timeout

ROUTED, MOVED = 0, 1
"""Numbers of the Services that are changed."""
API_SERVER = "outbound|443||kubernetes.default.svc.cluster.local"
"""Cluster of a Service that the API server makes itself. Routes wait for whoever has not asked for its endpoints as well."""


class ClusterMesh:
    """Services and pods of a cluster that is running; ``kubeconfig`` is of somebody who may do everything, ``runner`` has the
    client's loop."""

    def __init__(self, kubeconfig: Path, client: Client, services: int, runner: asyncio.Runner) -> None:
        self.kubeconfig = kubeconfig
        self._client = client
        self._services = services
        self._runner = runner
        self._count = 0
        self._ready = True

    @property
    def names(self) -> dict[str, list[str]]:
        """See :class:`meshwright_tools.bench.meshes.Mesh`."""
        clusters = [many_pods.cluster_of(number) for number in range(self._services)]
        return {ENDPOINT: [*clusters, API_SERVER], ROUTE: [str(many_pods.PORT)]}

    def change_policy(self) -> float:
        """Applies a VirtualService that is not there yet, or another timeout."""
        self._count += 1
        name, namespace = many_pods.name_of(ROUTED), many_pods.namespace_of(ROUTED)
        began = time.monotonic()
        self._runner.run(self._client.apply(timeout(name, namespace, many_pods.host_of(ROUTED), self._count)))
        return began

    def change_endpoint(self) -> float:
        """Has a pod be ready no longer, or again; its Service's EndpointSlice then follows."""
        self._ready = not self._ready
        path = path_of(many_pods.workload(MOVED, "v1"), "/status")
        ready = {"type": "Ready", "status": str(self._ready)}
        began = time.monotonic()
        self._runner.run(self._client.api.request("PATCH", path, {"status": {"conditions": [ready]}}, content=MERGE))
        return began


@contextmanager
def running(services: int) -> Iterator[ClusterMesh]:
    """A cluster with so many Services and about as many pods, all of which run. Raises :class:`CommandError` where its
    programs cannot be had."""
    try:
        kube_apiserver.build()
        simulated_nodes.build()
    except go_programs.NotBuiltError as error:
        raise CommandError(f"no cluster: {error}") from error
    with kube_apiserver.running() as server, asyncio.Runner() as runner:
        runner.run(server.ready())
        with simulated_nodes.playing(server) as players:
            opened = kube_apiserver.client(server)
            client = runner.run(opened.__aenter__())
            try:
                runner.run(_fill(players, client, services))
                yield ClusterMesh(server.kubeconfig(), client, services, runner)
            finally:
                runner.run(opened.__aexit__(None, None, None))


async def _fill(players: simulated_nodes.Players, client: Client, services: int) -> None:
    await client.apply(*definitions())
    await client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system"}})
    await many_pods.fill(players, client, services)

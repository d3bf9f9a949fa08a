"""What is in a cluster: the mesh, the environment's workloads, their policies and releases, each after the one before."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pulumi

from mesh_policy import Policy
from mesh_policy.releases.machine import Rollout
from stacks import cluster_mesh, cluster_workloads, control
from stacks.environment import Environment
from stacks.layers.cluster_objects import ClusterObjects, have_plugin, provider
from stacks.layers.custom_resources import CustomResources
from stacks.layers.installed import Installed
from stacks.layers.policies import documents
from stacks.layers.releases import Releases
from stacks.providers.in_force import InForce


class Cluster(pulumi.ComponentResource):
    """Objects of the cluster that ``on`` has made. ``login``: path of its kubeconfig, from the project's root; ``digests``:
    of images, by their names."""

    def __init__(
        self,
        environment: Environment,
        *,
        root: Path,
        login: str,
        digests: Mapping[str, str],
        secrets: Mapping[str, str],
        policies: Sequence[Policy],
        releases: Sequence[Rollout],
        on: Installed,
    ) -> None:
        super().__init__("meshwright:index:Cluster", environment.name, None, pulumi.ResourceOptions(depends_on=[on]))
        have_plugin(root, environment.sources.pulumi_plugins)
        # Before the cluster is there, nobody can say what it would make of its objects.
        kubeconfig = on.playbook.hosts.apply(lambda _: str(root / login))
        way = provider(kubeconfig, opts=pulumi.ResourceOptions(parent=self))
        mesh = self._objects("mesh", cluster_mesh.manifests(environment, digests), way, on, [])
        workloads = self._objects("workloads", _workloads(environment, digests, secrets), way, on, [mesh])
        after = pulumi.ResourceOptions(parent=self, depends_on=[workloads])
        objects = CustomResources("policies", policies=policies, provider=way, opts=after)
        in_force = InForce(
            "policies",
            documents=documents(policies),
            kubeconfig=kubeconfig,
            wait_seconds=environment.mesh.policy_wait_seconds,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[objects]),
        )
        if releases:
            namespace = environment.mesh.gateway.namespace  # the whole mesh's
            Releases(
                rollouts=releases,
                control=kubeconfig.apply(lambda path: control.of_cluster(path, namespace)),
                opts=pulumi.ResourceOptions(parent=self, depends_on=[in_force]),
            )
        service = mesh.objects["Service", environment.mesh.gateway.namespace, cluster_mesh.INGRESS]
        self.gateway: pulumi.Output[str] = service.status.apply(_address)  # type: ignore[attr-defined]
        """URL of the ingress gateway; empty where it has no external address."""
        self.register_outputs({"gateway": self.gateway})

    def _objects(
        self,
        name: str,
        manifests: Sequence[Mapping[str, Any]],
        way: Any,
        on: Installed,
        after: Sequence[ClusterObjects],
    ) -> ClusterObjects:
        options = pulumi.ResourceOptions(parent=self, depends_on=list(after))
        return ClusterObjects(name, manifests=manifests, provider=way, goes_with=on.playbook, opts=options)


def _workloads(
    environment: Environment, digests: Mapping[str, str], secrets: Mapping[str, str]
) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    if environment.postgresql is not None:
        found.append(cluster_workloads.secret(environment, secrets["vault_postgresql_password"]))
    version = cluster_workloads.password_version(secrets)
    return [*found, *cluster_workloads.manifests(environment, digests=digests, password_version=version)]


def _address(status: Any) -> str:
    """Of the status of a Service, the first address from outside."""
    balancer = (status or {}).get("load_balancer") or (status or {}).get("loadBalancer") or {}
    for place in balancer.get("ingress") or ():
        if address := place.get("ip") or place.get("hostname"):
            return f"http://{address}"
    return ""

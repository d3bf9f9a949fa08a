"""Workloads on machines beside a cluster, in the mesh of its pods: their proxies, and what stands for them in the cluster.
Pure.

To the control plane such a machine is a WorkloadEntry, which the Service of its name chooses beside pods; who it is says its
service account, of which the role ``mesh_machine`` has a token made.
"""

from __future__ import annotations

from typing import Any

from stacks import cluster, cluster_mesh, cluster_workloads, plan, ports
from stacks.environment import Environment, MeshMachine

Object = dict[str, Any]
OURS = {"app.kubernetes.io/managed-by": "meshwright", "app.kubernetes.io/part-of": "machines"}
"""Labels of what is a machine's alone, and goes with it."""
CLUSTER = "Kubernetes"
"""What the control plane calls the cluster that it is in."""
MUTUAL_TLS = {"security.istio.io/tlsMode": "istio"}
"""Of a workload that has a sidecar: others send it nothing but mutual TLS."""


def beside(environment: Environment) -> tuple[MeshMachine, ...]:
    """The workloads; none where there is no cluster."""
    return () if environment.kubernetes is None else environment.kubernetes.mesh.machines


def of_machine(environment: Environment, machine: str) -> MeshMachine | None:
    """The workload on a machine, if it is one beside the cluster."""
    return next((entry for entry in beside(environment) if entry.machine == machine), None)


def namespace(environment: Environment, entry: MeshMachine) -> str:
    """Where the workload is."""
    if entry.service is not None:
        return environment.service(entry.service).namespace
    return entry.namespace or cluster_workloads.NAMESPACE


def account(entry: MeshMachine) -> str:
    """Who it runs as, in its namespace."""
    return entry.service_account or entry.service or entry.name


def labels(environment: Environment, entry: MeshMachine) -> dict[str, str]:
    """By these Services and policies select it."""
    chosen = {"app": entry.name} if entry.service is None else environment.service(entry.service).labels
    return {**entry.labels, **chosen, "version": entry.version, **MUTUAL_TLS}


def proxy(environment: Environment, entry: MeshMachine) -> plan.ProxyPlan:
    """Its sidecar."""
    return plan.ProxyPlan(
        name=entry.name,
        namespace=namespace(environment, entry),
        kind="sidecar",
        machine=environment.machine(entry.machine),
        ports=ports.ProxyPorts.at(0),
        labels=labels(environment, entry),
        account=account(entry),
        trust_domain=cluster_mesh.values(environment)["trust_domain"],
    )


def served(environment: Environment, entry: MeshMachine) -> dict[str, int]:
    """Name and number of each port at which others reach it."""
    if entry.service is None:
        return {}
    return {port.name: port.port for port in environment.service(entry.service).ports}


def user(entry: MeshMachine) -> str:
    """Whose connections go by the sidecar."""
    return entry.user or f"demo-{entry.name}"


def shared_objects(environment: Environment, entry: MeshMachine) -> list[Object]:
    """What the workload needs in a cluster and others as well, those first that others refer to: its namespace, and of a
    workload behind a Service that and the account of its name."""
    found = [cluster_workloads.namespace(namespace(environment, entry))]
    if entry.service is not None:
        found += cluster_workloads.service(environment.service(entry.service))
    return found


def own_objects(environment: Environment, entry: MeshMachine) -> list[Object]:
    """What stands in the cluster for nothing but this machine."""
    where, who = namespace(environment, entry), account(entry)
    shared = {(service.namespace, service.name) for service in environment.services}
    if environment.postgresql is not None:
        shared.add((cluster_workloads.NAMESPACE, environment.postgresql.service))
    accounts = [] if (where, who) in shared else [_account(who, where)]
    spec: Object = {
        "address": environment.machine(entry.machine).address,
        "labels": labels(environment, entry),
        "serviceAccount": who,
    }
    if found := served(environment, entry):
        spec["ports"] = found
    return [
        *accounts,
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "WorkloadEntry",
            "metadata": {"name": entry.name, "namespace": where, "labels": dict(OURS)},
            "spec": spec,
        },
    ]


def _account(name: str, where: str) -> Object:
    metadata = {"name": name, "namespace": where, "labels": dict(OURS)}
    # A pod that took it would be this machine to everybody; it finds no token of it mounted, at least.
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata,
        "automountServiceAccountToken": False,
    }


def metadata(environment: Environment) -> dict[str, str]:
    """What its proxy says beside what others on machines say: that it is of the cluster's own part of the mesh."""
    return {"CLUSTER_ID": CLUSTER, "MESH_ID": cluster_mesh.values(environment)["trust_domain"]}


def control_name(environment: Environment) -> str:
    """What the control plane is called in its certificate, whatever address it is reached by."""
    return f"istiod.{cluster_mesh.values(environment)['namespace']}.svc"


def control_service(environment: Environment) -> str:
    """``NAMESPACE/NAME`` of the Service by which it reaches the control plane."""
    return f"{cluster_mesh.values(environment)['namespace']}/{cluster_mesh.CONTROL}"


def nodes_beside(environment: Environment) -> tuple[str, ...]:
    """The machines of the group ``mesh_machines``."""
    nodes = cluster.nodes(environment)
    return tuple(node.name for node in environment.machines.nodes if node.name not in nodes)

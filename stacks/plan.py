"""What follows from an environment: which proxy stands where, with which ports and identity. Pure.

Everything that needs a derived value (inventories, role variables, the laptop's processes, outputs) takes it from here, so
that no two places count ports on their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from stacks import ports
from stacks.environment import Environment, Machine, Service, Workload

CLUSTER_DOMAIN = "svc.cluster.local"
TRUST_DOMAIN = "cluster.local"
"""The control plane's, by default."""


@dataclass(frozen=True, slots=True)
class ProxyPlan:
    """One proxy. ``kind`` is ``sidecar`` or ``router``; ``labels`` are those of its workload, ``account`` its service account
    where that is not named like its ``app``."""

    name: str
    namespace: str
    kind: Literal["sidecar", "router"]
    machine: Machine
    ports: ports.ProxyPorts
    labels: Mapping[str, str] = field(default_factory=dict)
    account: str = ""
    trust_domain: str = TRUST_DOMAIN

    @property
    def node_id(self) -> str:
        """Istio's node id: ``KIND~ADDRESS~NAME.NAMESPACE~NAMESPACE.svc.cluster.local``."""
        owner = f"{self.name}.{self.namespace}"
        return f"{self.kind}~{self.machine.address}~{owner}~{self.namespace}.{CLUSTER_DOMAIN}"

    @property
    def service_account(self) -> str:
        """Who its workload runs as, in its namespace."""
        return self.account or self.labels.get("app", self.name)

    @property
    def identity(self) -> str:
        """The SPIFFE id in its certificate."""
        return f"spiffe://{self.trust_domain}/ns/{self.namespace}/sa/{self.service_account}"

    def metadata(self) -> dict[str, Any]:
        """Node metadata that the control plane compiles by."""
        return {
            "NAMESPACE": self.namespace,
            "WORKLOAD_NAME": self.name,
            "SERVICE_ACCOUNT": self.service_account,
            "LABELS": dict(self.labels),
            "INTERCEPTION_MODE": "REDIRECT",
            "CAPTURE_PORTS": {"outbound": self.ports.outbound, "inbound": self.ports.inbound},
        }


def workload_labels(environment: Environment, workload: Workload) -> dict[str, str]:
    """The labels of a workload: those that its service selects by, and its version."""
    return {**environment.service(workload.service).labels, "version": workload.version}


def proxies(environment: Environment) -> tuple[ProxyPlan, ...]:
    """Every proxy: the gateway first, then one for each workload in the declared order."""
    gateway = environment.mesh.gateway
    owners: list[tuple[str, str, Literal["sidecar", "router"], str, dict[str, str]]] = [
        (gateway.name, gateway.namespace, "router", gateway.machine, {"istio": gateway.name, "app": gateway.name})
    ]
    owners += [
        (
            w.name,
            environment.service(w.service).namespace,
            "sidecar",
            environment.place(w).name,
            workload_labels(environment, w),
        )
        for w in environment.workloads
    ]
    own = ports.of_proxies(environment)
    return tuple(
        ProxyPlan(name, namespace, kind, environment.machine(machine), own[name], labels)
        for name, namespace, kind, machine, labels in owners
    )


def mesh_inventory(environment: Environment) -> dict[str, Any]:
    """The control plane's static inventory: services, and the workloads behind them."""
    services = [_service_entry(service) for service in environment.services]
    workloads = [_workload_entry(environment, workload) for workload in environment.workloads]
    if environment.postgresql is not None:
        database = environment.postgresql
        services.append(
            {
                "name": database.service,
                "namespace": "default",
                "ports": [{"name": "tcp-postgres", "port": database.port, "protocol": "TCP"}],
                "selector": {"app": database.service},
            }
        )
        workloads.append(
            {
                "name": database.service,
                "namespace": "default",
                "address": environment.machine(database.machine).address,
                "labels": {"app": database.service},
                "service_account": database.service,
                "ports": {"tcp-postgres": database.port},
                "sidecar": False,
            }
        )
    return {"services": services, "workloads": workloads}


def _service_entry(service: Service) -> dict[str, Any]:
    ports = [{"name": p.name, "port": p.port, "protocol": p.protocol} for p in service.ports]
    return {"name": service.name, "namespace": service.namespace, "ports": ports, "selector": service.labels}


def _workload_entry(environment: Environment, workload: Workload) -> dict[str, Any]:
    service = environment.service(workload.service)
    return {
        "name": workload.name,
        "namespace": service.namespace,
        "address": environment.place(workload).address,
        "labels": workload_labels(environment, workload),
        "service_account": workload.service,
        "ports": {port.name: port.port for port in service.ports},
        "sidecar": True,
    }


def service_names(environment: Environment) -> dict[str, tuple[str, ...]]:
    """Address of a machine that carries the service, to the names that resolve to it on every machine.

    Traffic to these names is intercepted and routed by host, so the address only has to be routable.
    """
    names: dict[str, tuple[str, ...]] = {}
    placed = {w.service: environment.place(w).address for w in reversed(environment.workloads)}
    for service in environment.services:
        if service.name in placed:
            address = placed[service.name]
            names[address] = names.get(address, ()) + host_names(service.name, service.namespace)
    if environment.postgresql is not None:
        address = environment.machine(environment.postgresql.machine).address
        names[address] = names.get(address, ()) + host_names(environment.postgresql.service, "default")
    return names


def host_names(name: str, namespace: str) -> tuple[str, ...]:
    """The names of a service, longest first."""
    qualified = f"{name}.{namespace}"
    return (f"{qualified}.{CLUSTER_DOMAIN}", f"{qualified}.svc", qualified, name)

"""Which unit listens on which port of a machine, counted in one place for the settings' checks and for the roles. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the environment checks itself by this module
    from stacks.environment import Environment

PROXY_PORT_STEP = 100
"""Distance between the ports of two proxies on one machine."""
GATEWAY_LISTENS = ("admin", "health", "stats")
"""The gateway's own ports; nothing is redirected to it."""


@dataclass(frozen=True, slots=True)
class ProxyPorts:
    """The ports of one proxy: Istio's own numbers, moved by a step for each further proxy of a machine."""

    outbound: int
    inbound: int
    admin: int
    health: int
    stats: int

    @classmethod
    def at(cls, index: int) -> ProxyPorts:
        """The ports of the proxy with that place (0 is the first) on its machine."""
        step = PROXY_PORT_STEP * index
        return cls(15001 + step, 15006 + step, 15000 + step, 15021 + step, 15090 + step)


@dataclass(frozen=True, slots=True)
class Listener:
    """A port of a machine, the unit that listens there, and the setting that chooses it. ``unit`` is a shell pattern."""

    machine: str
    port: int
    unit: str
    setting: str


def of_proxies(environment: Environment) -> dict[str, ProxyPorts]:
    """Name of each proxy to its ports: the gateway first, then one for each workload in the declared order."""
    gateway = environment.mesh.gateway
    placed = [(gateway.name, gateway.machine), *((w.name, environment.place(w).name) for w in environment.workloads)]
    count: dict[str, int] = {}
    found = {}
    for name, machine in placed:
        found[name] = ProxyPorts.at(count.get(machine, 0))
        count[machine] = count.get(machine, 0) + 1
    return found


def listeners(environment: Environment) -> Iterator[Listener]:
    """Everything of ours that listens on the machines."""
    mesh, database = environment.mesh, environment.postgresql
    gateway = mesh.gateway
    for setting, port in (("mesh.xds_port", mesh.xds_port), ("mesh.monitoring_port", mesh.monitoring_port)):
        yield Listener(mesh.control_machine, port, "mesh-control.service", setting)
    proxy = f"mesh-proxy@{gateway.name}.service"
    yield Listener(gateway.machine, gateway.http_port, proxy, "mesh.gateway.http_port")
    if database is not None:
        yield Listener(database.machine, database.port, "postgresql@*-main.service", "postgresql.port")
    for workload in environment.workloads:
        machine = environment.place(workload).name
        setting = f"workloads.{workload.name}.machine or services.{workload.service}.ports"
        for served in environment.service(workload.service).ports:
            yield Listener(machine, served.port, f"workload-{workload.name}.service", setting)
    own = of_proxies(environment)
    for name in GATEWAY_LISTENS:
        yield Listener(gateway.machine, asdict(own[gateway.name])[name], proxy, "mesh.gateway.machine")
    for workload in environment.workloads:
        for port in asdict(own[workload.name]).values():
            unit = f"mesh-proxy@{workload.name}.service"
            yield Listener(environment.place(workload).name, port, unit, f"workloads.{workload.name}.machine")


def clashes(environment: Environment) -> list[str]:
    """Each port that two units of a machine would listen on, as ``SETTING: what has it``."""
    owners = {
        (node.name, node.ssh_port): Listener(
            node.name, node.ssh_port, "ssh.service", f"machines.nodes.{node.name}.ssh_port"
        )
        for node in environment.machines.nodes
        if environment.machines.driver != "existing"
    }
    found = []
    for listener in listeners(environment):
        owner = owners.setdefault((listener.machine, listener.port), listener)
        if owner is not listener:
            taken = f"port {listener.port} of {listener.machine} is {owner.unit}'s ({owner.setting})"
            found.append(f"{listener.setting}: {taken}")
    return found

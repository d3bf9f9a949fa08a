"""No machines: the same control plane, proxies and workloads as plain processes on loopback."""

from collections.abc import Sequence
from ipaddress import IPv4Address

from mesh_policy import Policy
from mesh_policy.releases.machine import Rollout
from stacks.environment import Environment, Gateway, Machine, Machines, Mesh, Postgresql
from stacks.environments import book_store, demo

ENVIRONMENT = Environment(
    name="laptop",
    machines=Machines(driver="processes", nodes=(Machine(name="laptop", address="127.0.0.1"),)),
    mesh=Mesh(
        control_machine="laptop",
        xds_port=15010,  # without TLS: it does not leave loopback
        gateway=Gateway(machine="laptop", http_port=18080, bind=IPv4Address("127.0.0.1")),
    ),
    postgresql=Postgresql(machine="laptop", port=15432),
    services=demo.SERVICES,
    workloads=demo.workloads("laptop", "laptop"),
)


def policies(environment: Environment) -> Sequence[Policy]:
    """The traffic policies of the environment."""
    return book_store.policies(environment)


def releases(environment: Environment) -> Sequence[Rollout]:
    """The releases of the environment: none; its scenarios show each state of one."""
    return ()

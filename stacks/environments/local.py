"""Three machines made on this host: control plane, gateway and database on the first, the demo on the other two."""

from collections.abc import Sequence

from mesh_policy import Policy
from mesh_policy.releases.machine import Rollout
from stacks.environment import Environment, Kubernetes, Machine, Machines, Mesh, Postgresql, Sources
from stacks.environments import book_store, demo

ENVIRONMENT = Environment(
    name="local",
    machines=Machines(
        driver="namespaces",
        entrance_port=16443,
        nodes=(
            Machine(name="node1", address="10.77.0.11"),
            Machine(name="node2", address="10.77.0.12"),
            Machine(name="node3", address="10.77.0.13"),
        ),
    ),
    mesh=Mesh(control_machine="node1"),
    kubernetes=Kubernetes(address_pool=("10.77.0.200-10.77.0.219",)),
    sources=Sources(kubernetes="built"),
    postgresql=Postgresql(machine="node1"),
    services=demo.SERVICES,
    workloads=demo.workloads("node2", "node3"),
)


def policies(environment: Environment) -> Sequence[Policy]:
    """The traffic policies of the environment."""
    return book_store.policies(environment)


def releases(environment: Environment) -> Sequence[Rollout]:
    """The releases of the environment: none; its scenarios show each state of one."""
    return ()

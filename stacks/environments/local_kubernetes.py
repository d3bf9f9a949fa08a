"""Three machines made on this host that become a Kubernetes cluster with the demo in it: a control plane and two workers."""

from collections.abc import Sequence

from mesh_policy import Policy
from mesh_policy.releases.machine import Rollout
from stacks.environment import Environment, Kubernetes, Machines, Postgresql, Sources
from stacks.environments import book_store, demo, local

ENVIRONMENT = Environment(
    name="local-kubernetes",
    platform="kubernetes",
    machines=Machines(
        driver="namespaces",
        entrance_port=16444,
        nodes=local.ENVIRONMENT.machines.nodes,
    ),
    # They are on one network, which needs no wrapping.
    kubernetes=Kubernetes(
        pod_traffic="host-gw",
        address_pool=("10.77.0.200-10.77.0.219",),
    ),
    sources=Sources(kubernetes="built", pulumi_plugins="double"),
    postgresql=Postgresql(storage_class="local-path"),
    services=demo.SERVICES,
    workloads=demo.workloads(),
)


def policies(environment: Environment) -> Sequence[Policy]:
    """The traffic policies of the environment."""
    return book_store.policies(environment)


def releases(environment: Environment) -> Sequence[Rollout]:
    """The releases of the environment: none; its scenarios show each state of one."""
    return ()

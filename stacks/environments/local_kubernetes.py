"""Three machines made on this host that become a Kubernetes cluster with the demo in it: a control plane and two workers."""

from collections.abc import Sequence

from mesh_policy import Policy
from mesh_policy.releases.machine import Rollout
from stacks.environment import Environment, Kubernetes, Machines, Postgresql, Sources
from stacks.environments import demo, local

ENVIRONMENT = Environment(
    name="local-kubernetes",
    platform="kubernetes",
    machines=Machines(
        driver="namespaces",
        entrance_port=16444,
        nodes=local.ENVIRONMENT.machines.nodes,
    ),
    # They are on one network, which needs no wrapping.
    kubernetes=Kubernetes(pod_traffic="host-gw"),
    sources=Sources(kubernetes="built"),
    postgresql=Postgresql(),
    services=demo.SERVICES,
    workloads=demo.workloads(),
)


def policies(environment: Environment) -> Sequence[Policy]:
    """None: no mesh is in the cluster yet."""
    return ()


def releases(environment: Environment) -> Sequence[Rollout]:
    """None, for the same reason."""
    return ()

"""Three machines made on this host that become a Kubernetes cluster: one is the control plane, two are workers."""

from collections.abc import Sequence

from mesh_policy import Policy
from mesh_policy.releases.machine import Rollout
from stacks.environment import Environment, Kubernetes, Machines, Sources
from stacks.environments import local

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
)


def policies(environment: Environment) -> Sequence[Policy]:
    """None: no mesh is in the cluster yet."""
    return ()


def releases(environment: Environment) -> Sequence[Rollout]:
    """None, for the same reason."""
    return ()

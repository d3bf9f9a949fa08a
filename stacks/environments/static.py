"""Three machines that exist already and answer SSH; set their addresses in the stack's configuration."""

from collections.abc import Sequence

from mesh_policy import Policy
from mesh_policy.releases.machine import Rollout
from stacks.environment import Environment, Kubernetes, Machines, Sources
from stacks.environments import book_store, local

ENVIRONMENT = local.ENVIRONMENT.model_copy(
    update={
        "name": "static",
        "machines": Machines(driver="existing", nodes=local.ENVIRONMENT.machines.nodes),
        # Which addresses of your network are free is for you to say (kubernetes.address_pool).
        "kubernetes": Kubernetes(),
        "sources": Sources(),
    }
)


def policies(environment: Environment) -> Sequence[Policy]:
    """The traffic policies of the environment."""
    return book_store.policies(environment)


def releases(environment: Environment) -> Sequence[Rollout]:
    """The releases of the environment: none; its scenarios show each state of one."""
    return ()

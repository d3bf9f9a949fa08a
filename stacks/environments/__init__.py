"""The environments that come with the project: one module each, found by the stack's name in :data:`ENVIRONMENTS`.

A module declares ``ENVIRONMENT`` (its settings, over which the stack's configuration is laid), ``policies`` (its traffic
policies in typed Python) and ``releases`` (what the control plane releases step by step). To add an environment: a module
here and a line in the table.
"""

from collections.abc import Sequence
from typing import Protocol

from mesh_policy import Policy
from mesh_policy.releases.machine import Rollout
from stacks.environment import Environment, InvalidEnvironmentError
from stacks.environments import laptop, local, local_kubernetes, static


class Declaration(Protocol):
    """What a module of this package declares."""

    @property
    def ENVIRONMENT(self) -> Environment:  # noqa: N802 (a constant of the module)
        """Its settings."""
        ...

    def policies(self, environment: Environment) -> Sequence[Policy]:
        """Its traffic policies."""
        ...

    def releases(self, environment: Environment) -> Sequence[Rollout]:
        """Its releases; an update waits for their end. The policies of their services are theirs alone."""
        ...


ENVIRONMENTS: dict[str, Declaration] = {
    "laptop": laptop,
    "local": local,
    "local-kubernetes": local_kubernetes,
    "static": static,
}
"""Stack name to its declaration."""


def declaration(stack: str) -> Declaration:
    """The declaration of a stack. Raises :class:`InvalidEnvironmentError` for one that nobody declared."""
    if stack not in ENVIRONMENTS:
        allowed = ", ".join(sorted(ENVIRONMENTS))
        raise InvalidEnvironmentError(
            f"no environment is declared for the stack {stack!r}; allowed: {allowed} (stacks/environments lists them)"
        )
    return ENVIRONMENTS[stack]

"""What every source of the world is: the one seam between where things are written down and the control plane."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from mesh_control.addresses.plan import Allocated
from mesh_control.gateway_api import Surroundings
from mesh_control.services import Service, Workload
from mesh_policy import Policy
from mesh_policy.mesh_config import MeshConfig, MeshNetworks


@dataclass(frozen=True, slots=True)
class Parts:
    """What a source has at a moment. ServiceEntries and WorkloadEntries are policies: services are made of everybody's alike.

    ``problems`` has a line for whatever cannot be used as it is; it names the place (``FILE:LINE``, an object) and a mend.
    """

    services: tuple[Service, ...] = ()
    workloads: tuple[Workload, ...] = ()
    policies: tuple[Policy, ...] = ()
    problems: tuple[str, ...] = ()
    unhealthy: frozenset[tuple[str, str]] = frozenset()
    """Namespace and name of the WorkloadEntries among the policies that are to get no requests."""
    mesh: MeshConfig | None = None
    """The settings of the mesh; of several sources that have some, the first one's hold."""
    networks: MeshNetworks | None = None
    """The networks of the mesh; likewise."""
    surroundings: Surroundings | None = None
    """What the Gateway API asks of a cluster; those of several sources are put together."""
    key_sets: Mapping[str, str] = field(default_factory=dict)
    """Keys of issuers of tokens as JSON, by where they were found."""
    allocated: Allocated | None = None
    """Addresses that hosts of its ServiceEntries were given; ``None``: it leaves that to the control plane."""


class Source(Protocol):
    """See the module's docstring. All of it runs on the control plane's loop."""

    @property
    def name(self) -> str:
        """What people are told that it is: ``inventory``."""

    @property
    def synced(self) -> bool:
        """Whether it has said everything once. It stays true: who is cut off later keeps what it had, and tells a problem.

        No proxy is served before every source is: services that are not known yet would be taken away from it.
        """

    def read(self) -> Parts:
        """What there is now. Quick, and never raises: what is broken keeps its last good content and is told as a problem.

        Equal content gives equal parts, so that nothing is pushed.
        """

    async def watch(self, changed: Callable[[], None]) -> None:
        """Call ``changed`` whenever :meth:`read` or :attr:`synced` may say something else, too often rather than too late.

        For ever: what can be survived is told as a problem, and what is raised ends the process, which is started again.
        """

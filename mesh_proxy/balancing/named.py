"""The host that a request or connection names by itself, whose name was looked up before (Envoy's dynamic forward proxy)."""

from mesh_api.config import Cluster
from mesh_proxy.balancing.balancer import Balancer, Members, Random
from mesh_proxy.balancing.context import PickContext
from mesh_proxy.balancing.host import UNHEALTHY, Host
from mesh_proxy.telemetry.stats import Counters

Name = tuple[str, int]
"""A host by its name, and a port."""


def key_of(name: Name) -> str:
    """What a cluster knows the host under."""
    return f"{name[0]}:{name[1]}"


class Named(Balancer):
    """There is nothing to choose; but a host that was found to fail is none (Envoy)."""

    __slots__ = ("_hosts",)

    def __init__(self, config: Cluster, members: Members, random: Random, counters: Counters) -> None:
        super().__init__(config, members, random, counters)
        self._hosts: dict[str, Host] = {}
        self.replace(config, members)

    def replace(self, config: Cluster, members: Members) -> None:
        """See :class:`Balancer`."""
        super().replace(config, members)
        self._hosts = {key_of((host.hostname, host.target[1])): host for host in members.hosts}

    def pick(self, context: PickContext) -> Host | None:
        """The host of ``context.destination``, which is a name here."""
        name = context.destination
        host = None if name is None else self._hosts.get(key_of(name))
        return None if host is None or host.health == UNHEALTHY else host

    def choose(self, context: PickContext, attempt: int) -> Host | None:
        """See :class:`Balancer`."""
        return self.pick(context)

    def rebuild(self, now: float) -> None:
        """See :class:`Balancer`."""

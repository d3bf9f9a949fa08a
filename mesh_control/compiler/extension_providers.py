"""Extension providers of the mesh: which is meant by a name, and the cluster that leads to it (Istio's ``LookupCluster``)."""

from dataclasses import dataclass

from mesh_control.compiler import names
from mesh_control.world import World
from mesh_policy.mesh_config import ExtensionProvider


@dataclass(frozen=True, slots=True)
class Reached:
    """The service of a provider: its host, and the cluster of its port."""

    hostname: str
    cluster: str


def provider(world: World, name: str) -> ExtensionProvider | None:
    """The provider of that name, in capitals or not."""
    wanted = name.lower()
    return next((known for known in world.mesh.providers.values() if known.name.lower() == wanted), None)


def reached(world: World, service: str, port: int) -> Reached | None:
    """The cluster for ``HOST``, which must be in one namespace, or ``NAMESPACE/HOST``; ``None``: there is no such service.

    Whether the service has the port, and whether the proxy sees it, is not asked (Istio).
    """
    namespace, slash, hostname = service.partition("/")
    owners = _owners(world).get(hostname if slash else service, ())
    if (slash and namespace not in owners) or (not slash and len(owners) != 1):
        return None
    hostname = hostname if slash else service
    return Reached(hostname, names.outbound(port, "", hostname))


def _owners(world: World) -> dict[str, tuple[str, ...]]:
    """Host to the namespaces that have a service of that name."""

    def made() -> dict[str, tuple[str, ...]]:
        found: dict[str, dict[str, None]] = {}
        for service in (*world.services, *world.rivals):
            found.setdefault(service.hostname, {})[service.namespace] = None
        return {host: tuple(owners) for host, owners in found.items()}

    return world.once("namespaces of hosts", made)

"""From the settings to a cluster as a source, and to whoever tells its objects what became of them."""

import socket
from collections.abc import Callable

from mesh_control import validate
from mesh_control.control import Control
from mesh_control.push import Progress
from mesh_control.settings import Kubernetes, SettingsError
from mesh_control.sources.kubernetes.access import Access, AccessError, from_kubeconfig, in_cluster
from mesh_control.sources.kubernetes.election import Election
from mesh_control.sources.kubernetes.leader import Leader
from mesh_control.sources.kubernetes.rbac import LEASE
from mesh_control.sources.kubernetes.reporting import Reporter, View
from mesh_control.sources.kubernetes.source import Cluster
from mesh_control.sources.kubernetes.status import Proxies
from mesh_policy import Policy


def access_of(settings: Kubernetes) -> Access:
    """The way to the API server. Raises :class:`SettingsError`."""
    try:
        if settings.kubeconfig is not None:
            return from_kubeconfig(settings.kubeconfig, settings.context)
        return in_cluster()
    except AccessError as error:
        raise SettingsError(str(error)) from None


def cluster_of(settings: Kubernetes, *, gives_roots: bool = False, has_releases: bool = False) -> Cluster:
    """The source; ``gives_roots`` and ``has_releases``: see there. Raises :class:`SettingsError`."""
    namespace, _, name = (settings.mesh_config or "").partition("/")
    mesh = (namespace, name) if name else None
    access = access_of(settings)
    home = settings.lease_namespace or access.namespace if settings.status else ""
    return Cluster(
        access,
        settings.namespaces,
        _refuse,
        mesh,
        settings.gateway_controller,
        gives_roots=gives_roots,
        has_releases=has_releases,
        home=home,
    )


def _refuse(policy: Policy) -> list[str]:
    return [str(finding) for finding in validate.unsupported(policy)]


def reporter_of(
    control: Control, settings: Kubernetes | None, bundle: Callable[[], str] = lambda: "", *, injects: bool = False
) -> Reporter | None:
    """Whoever tells; ``None``: there is no cluster, or nobody is to. ``bundle`` gives the mesh's roots; ``injects``: pods get
    their proxies of this control plane."""
    cluster = next((source for source in control.state.others if isinstance(source, Cluster)), None)
    if cluster is None or settings is None or not settings.status:
        return None
    namespace = settings.lease_namespace or cluster.access.namespace
    leader = Leader(namespace, LEASE, Election(settings.identity or socket.gethostname()))
    roots = bundle if cluster.gives_roots else str
    injecting = namespace if injects else ""
    return Reporter(cluster, leader, lambda: view_of(control), control.touch, roots, injects=injecting)


def view_of(control: Control) -> View:
    """What the control plane is doing."""
    progress = control.hub.progress()
    taken = sum(state is Progress.ACKNOWLEDGED for state in progress.values())
    refusals = tuple(map(str, control.hub.refusals()))
    back, world = control.hub.rolled_back, control.hub.world
    proxies = Proxies(taken, len(progress), refusals, "" if back is None else str(back))
    return View(control.hub.version, {policy.key: policy for policy in world.policies}, proxies, world)

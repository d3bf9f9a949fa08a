"""Services whose hosts only clients of the same cluster see (``serviceSettings``; Istio's ``ClusterLocalHosts``).

There is one cluster alone: a client that does not say that it is in it sees none.
"""

from collections.abc import Mapping

from mesh_control.compiler import defaults
from mesh_control.compiler.scope import Scope
from mesh_control.compiler.wildcards import most_specific, starred
from mesh_control.services import Service
from mesh_policy.hosts import CLUSTER_DOMAIN
from mesh_policy.mesh_config import MeshConfig

ALWAYS = (
    f"*.kube-system.svc.{CLUSTER_DOMAIN}",
    f"kubernetes.default.svc.{CLUSTER_DOMAIN}",
    f"istiod.istio-system.svc.{CLUSTER_DOMAIN}",
)
"""Those that are so unless the mesh says otherwise."""


def is_hidden(scope: Scope, service: Service) -> bool:
    """Whether the proxy must not see the hosts of a service."""
    if scope.proxy.cluster == defaults.CLUSTER:
        return False
    if service.node_local:
        return True
    hosts, wildcards = scope.world.once("cluster-local hosts", lambda: _known(scope.world.mesh))
    return bool(most_specific(service.hostname, hosts, wildcards))


def _known(mesh: MeshConfig) -> tuple[Mapping[str, bool], tuple[str, ...]]:
    """Host to whether it is local, and the wildcards among them."""
    said = {
        host: bool(item.settings is not None and item.settings.cluster_local)
        for item in mesh.service_settings
        for host in item.hosts
    }
    opened = [host for host, local in said.items() if not local]
    kept = [host for host in ALWAYS if not any(_overrides(one, host) for one in opened)]
    hosts = dict.fromkeys(kept, True) | said
    return hosts, starred(hosts)


def _overrides(host: str, default: str) -> bool:
    return host == default or (default.startswith("*") and host.endswith(default[1:]))

"""Who asks, as the policies of a workload take it: the effective mode of PeerAuthentication."""

from collections.abc import Mapping

from mesh_control.compiler.peer_authentication import PeerMode, effective
from mesh_policy import Policy
from mesh_simulation.mesh import Mesh
from mesh_simulation.transport import Mode


def effective_mode(mesh: Mesh, namespace: str, labels: Mapping[str, str], port: int) -> Mode:
    """The mode for a port of a workload, and the PeerAuthentication that says so."""
    key = ("mode", namespace, id(labels))  # which live as long as the mesh
    if key not in mesh.memo:
        mesh.memo[key] = effective(mesh.world, namespace, labels)
    found: PeerMode = mesh.memo[key]
    if port in found.ports:
        return Mode(found.ports[port].value, f"{_named(found.port_policy)} port {port}")
    return Mode(found.mode.value, _named(found.policy))


def _named(policy: Policy | None) -> str:
    return "" if policy is None else f"{policy.kind} {policy.metadata.namespace}/{policy.metadata.name}"

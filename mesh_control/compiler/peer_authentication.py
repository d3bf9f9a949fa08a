"""PeerAuthentication: whether a port of a workload takes mutual TLS, plain text, or both (Istio).

Pure, and asked for by whoever decides about connections: the filter chains for TLS, and the simulation.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from mesh_control.services import Workload
from mesh_control.world import World
from mesh_policy.security.peer_authentication import MutualTls, PeerAuthentication


class TlsMode(Enum):
    """What connections must be: ``STRICT`` mutual TLS, ``PERMISSIVE`` that or plain text, ``DISABLE`` plain text."""

    DISABLE = "DISABLE"
    PERMISSIVE = "PERMISSIVE"
    STRICT = "STRICT"


@dataclass(frozen=True, slots=True)
class PeerMode:
    """The mode of a workload: that of all its ports, and exceptions by port. ``policy`` is what said so (``None``: nobody),
    ``port_policy`` what said the exceptions."""

    mode: TlsMode = TlsMode.PERMISSIVE
    ports: Mapping[int, TlsMode] = field(default_factory=dict)
    policy: PeerAuthentication | None = None
    port_policy: PeerAuthentication | None = None

    def of_port(self, port: int) -> TlsMode:
        """The mode of one port of the workload."""
        return self.ports.get(port, self.mode)


def effective(world: World, namespace: str, labels: Mapping[str, str]) -> PeerMode:
    """The mode of a workload. The mesh's (root namespace, no selector) is overruled by its namespace's, that by one that
    selects it, that by one of a port; ``UNSET`` changes nothing. Of several for one scope the oldest counts alone. In the
    root namespace those with a selector count for nobody.
    """
    policies, root = world.of_kind(PeerAuthentication), world.mesh.root_namespace  # oldest first
    near = [policy for policy in policies if policy.metadata.namespace == namespace != root]
    whole_mesh = _first(p for p in policies if p.metadata.namespace == root and not _labels(p))
    own_namespace = _first(policy for policy in near if not _labels(policy))
    own = _first(policy for policy in near if (wanted := _labels(policy)) and wanted.items() <= labels.items())
    mode, said = TlsMode.PERMISSIVE, None
    for policy in (whole_mesh, own_namespace, own):
        wanted_mode = None if policy is None else _mode(policy.spec.mtls)
        if wanted_mode is not None:
            mode, said = wanted_mode, policy
    by_port = own.spec.port_level_mtls if own is not None else None
    ports = {int(port): _mode(mtls) or mode for port, mtls in (by_port or {}).items()}
    return PeerMode(mode, ports, said, own if ports else None)


def takes_tls(world: World, workload: Workload, port: int) -> bool:
    """Whether a port of a workload takes mutual TLS, as far as its policies say."""
    if not world.once(
        "mutual TLS is refused somewhere", lambda: any(map(_disables, world.of_kind(PeerAuthentication)))
    ):
        return True
    who = "peer mode", workload.namespace, tuple(sorted(workload.labels.items()))
    found = world.once(who, lambda: effective(world, workload.namespace, workload.labels))
    return found.of_port(port) is not TlsMode.DISABLE


def _disables(policy: PeerAuthentication) -> bool:
    said = (policy.spec.mtls, *(policy.spec.port_level_mtls or {}).values())
    return any(_mode(mtls) is TlsMode.DISABLE for mtls in said)


def mtls_of_namespace(world: World, namespace: str) -> TlsMode:
    """What clients take for the mode of a namespace's services: those of workloads and ports are not known to them."""
    modes = world.once("modes of namespaces", lambda: _of_namespaces(world))
    return modes.get(namespace) or modes.get(world.mesh.root_namespace) or TlsMode.PERMISSIVE


def _of_namespaces(world: World) -> Mapping[str, TlsMode | None]:
    found: dict[str, TlsMode | None] = {}
    for policy in world.of_kind(PeerAuthentication):  # oldest first
        if not _labels(policy):
            found.setdefault(policy.metadata.namespace, _mode(policy.spec.mtls))
    return found


def _first(policies: Iterable[PeerAuthentication]) -> PeerAuthentication | None:
    return next(iter(policies), None)


def _labels(policy: PeerAuthentication) -> Mapping[str, str]:
    selector = policy.spec.selector
    return {} if selector is None else selector.match_labels or {}


def _mode(mtls: MutualTls | None) -> TlsMode | None:
    """``None``: inherited."""
    return None if mtls is None or mtls.mode in (None, "UNSET") else TlsMode(mtls.mode)

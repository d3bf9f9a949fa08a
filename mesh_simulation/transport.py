"""Whether two proxies talk mTLS: the client's mode against the server's (Istio's PeerAuthentication and auto mTLS)."""

from dataclasses import dataclass

from mesh_control.compiler import traffic_policies
from mesh_control.compiler.scope import Scope
from mesh_control.services import Workload
from mesh_simulation.mesh import Mesh
from mesh_simulation.parties import Party
from mesh_simulation.request import Request
from mesh_simulation.targets import service_named

MTLS, TLS, PLAIN = "mTLS", "TLS", "plain text"


@dataclass(frozen=True, slots=True)
class Transport:
    """How the client speaks, and as whom (without the scheme)."""

    kind: str
    principal: str = ""


@dataclass(frozen=True, slots=True)
class Mode:
    """The server's effective mode: ``STRICT``, ``PERMISSIVE`` or ``DISABLE``, and the PeerAuthentication that set it
    (empty: the default)."""

    name: str = "PERMISSIVE"
    source: str = ""


def of_client(
    request: Request, party: Party, scope: Scope | None, workload: Workload, mode: Mode, cluster: str, mesh: Mesh
) -> Transport:
    """How a request reaches a workload: as the request says, else as the client's DestinationRule says, else mTLS between
    two proxies unless the server has it switched off."""
    if request.principal is not None and not party.gateway:
        principal = request.principal.removeprefix("spiffe://")
        return Transport(MTLS, principal) if principal else Transport(PLAIN)
    if party.proxy is None or scope is None:
        return Transport(TLS if request.scheme == "https" else PLAIN)
    asked = _asked(mesh, scope, cluster, party.namespace)
    if asked == "DISABLE":
        return Transport(PLAIN)
    if asked in ("SIMPLE", "MUTUAL"):
        return Transport(TLS)
    if asked == "ISTIO_MUTUAL" or (workload.sidecar and mode.name != "DISABLE"):
        return Transport(MTLS, party.principal)
    return Transport(PLAIN)


def _asked(mesh: Mesh, scope: Scope, cluster: str, namespace: str) -> str:
    """The mode of the DestinationRule for the cluster; empty where none says one."""
    parts = cluster.split("|")
    if len(parts) != 4 or parts[0] != "outbound":
        return ""
    key = ("tls", cluster, scope.view)
    if key not in mesh.memo:
        service = service_named(mesh, parts[3], namespace)
        rules = scope.destination_rules(service) if service is not None else ()
        subset = next((s for s in traffic_policies.subsets(rules) if s.name == parts[2]), None)
        tls = traffic_policies.settings(rules, int(parts[1]), subset).tls
        mesh.memo[key] = (tls.mode or "DISABLE") if tls is not None else ""
    return str(mesh.memo[key])


def failure(kind: str, mode: Mode, sidecar: bool) -> str:
    """Why the two do not come together; empty: they do."""
    if not sidecar:
        return f"the workload has no proxy and cannot read {kind}" if kind == MTLS else ""
    if mode.name == "STRICT" and kind != MTLS:
        return f"{kind} meets mTLS mode STRICT"
    if mode.name == "DISABLE" and kind == MTLS:
        return "mTLS meets mTLS mode DISABLE"
    return ""

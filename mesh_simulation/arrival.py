"""The server's side: what the proxies of a destination's workloads do with a request."""

from dataclasses import replace
from typing import Any, NamedTuple

from mesh_api.config import JwtAuthnFilter, NetworkRbac, RbacFilter
from mesh_control.compiler.scope import Scope
from mesh_control.services import Workload
from mesh_proxy.protocol.http1 import BadMessage, Parser
from mesh_proxy.snapshot import HttpChain
from mesh_proxy.worker import composition
from mesh_proxy.worker.deciding import rewritten
from mesh_simulation import authorization, identity, tokens, transport
from mesh_simulation.connections import Seen, certain
from mesh_simulation.decision import Inbound, Message, Verdict
from mesh_simulation.mesh import Mesh
from mesh_simulation.parties import Party
from mesh_simulation.proxies import receiving
from mesh_simulation.request import Request
from mesh_simulation.targets import Group
from mesh_simulation.transport import MTLS, Transport
from mesh_simulation.walk import EPHEMERAL, Who, message, walk

ISTIO_ALPN = ("istio-http/1.1", "istio")
RESET = "upstream_reset_before_response_started{connection_termination}"


class Sent(NamedTuple):
    """What goes out to a group of workloads: by whom, of which cluster, and the head (``None``: bytes). ``known`` has what
    became of the same head at proxies that are alike, and of the token, for the destinations of one request."""

    request: Request
    party: Party
    scope: Scope | None
    cluster: str
    head: bytes | None
    known: dict[Any, Any]


class _Result(NamedTuple):
    """What an inbound proxy does with a head."""

    status: int
    flags: str
    details: str
    authorization: Verdict | None = None
    request: Message | None = None


class _Door(NamedTuple):
    """All that does not depend on the request's head: the answer, or where there is a ``chain`` its beginning, and who asks
    there."""

    answer: Inbound
    chain: HttpChain | None = None
    who: Who | None = None
    rules: tuple[RbacFilter, ...] = ()
    authentication: JwtAuthnFilter | None = None
    address: str = ""
    """The address of the workload, where some rule looks at it."""


def arrive(mesh: Mesh, sent: Sent, group: Group, parser: Parser) -> Inbound:
    """What one of the group's proxies does with it, for all of them."""
    request, party = sent.request, sent.party
    # Groups and parties live as long as the mesh, and so do their ids.
    key = (
        "door", id(group), id(party), sent.cluster, request.principal, request.scheme, request.source_ip, sent.head is None,
    )  # fmt: skip
    door: _Door | None = mesh.memo.get(key)
    if door is None:
        door = mesh.memo[key] = _door(mesh, sent, group)
    known, chain, who, rules, authentication, address = door
    if chain is None or who is None or sent.head is None or group.workload is None:
        return known
    asked = "token", id(authentication)
    token = sent.known.get(asked)
    if token is None:
        token = sent.known[asked] = tokens.token(mesh, request, authentication)
    if token.refused:
        return replace(known, status=token.status, details=token.refused, authentication=token.told)
    if token.metadata:
        who = who._replace(metadata=token.metadata)
    alike = id(chain), sent.head, who.peer, who.principals, token.told, address
    found = sent.known.get(alike)
    if found is None:
        found = sent.known[alike] = _request(mesh, chain, sent.head, who, rules, parser)
    return Inbound(
        known.workloads, known.share, True, known.transport, known.mode, known.mode_from, found.status, found.flags,
        found.details, known.principal, token.told, found.authorization, found.request,
    )  # fmt: skip


def _door(mesh: Mesh, sent: Sent, group: Group) -> _Door:
    workload = group.workload
    if workload is None:
        return _Door(Inbound(group.names, group.share, False, "", "", "", 200, "", "via_upstream"))
    mode = identity.effective_mode(mesh, workload.namespace, workload.labels, group.address[1])
    way = transport.of_client(sent.request, sent.party, sent.scope, workload, mode, sent.cluster, mesh)
    broken = transport.failure(way.kind, mode, workload.sidecar)
    if broken:
        return _Door(_broken(group, workload, mode, way, broken, sent))
    if not workload.sidecar:
        return _Door(Inbound(group.names, group.share, False, way.kind, "", "", 200, "", "via_upstream"))
    return _received(mesh, sent, group, workload, mode, way)


def _broken(group: Group, workload: Workload, mode: transport.Mode, way: Transport, why: str, sent: Sent) -> Inbound:
    """The server closes the connection; a client's proxy answers 503 for it, a client without one sees the end."""
    with_proxy = sent.party.proxy is not None
    status, flags = (503, "UC") if with_proxy else (0, "")
    details = f"{RESET}: {why}" if with_proxy else f"connection reset: {why}"
    if way.kind == MTLS and with_proxy:
        flags, details = "URX,UF", f"upstream_reset_before_response_started{{remote_connection_failure}}: {why}"
    shown = mode if workload.sidecar else transport.Mode("", "")
    return Inbound(
        group.names, group.share, workload.sidecar, way.kind, shown.name, shown.source, status, flags, details,
        way.principal,
    )  # fmt: skip


def _received(mesh: Mesh, sent: Sent, group: Group, workload: Workload, mode: transport.Mode, way: Transport) -> _Door:
    tls = way.kind != transport.PLAIN
    seen = Seen(http=sent.head is not None, tls=tls, alpn=ISTIO_ALPN if way.kind == MTLS else ())
    peer = sent.request.source_ip if sent.request.source_ip and not sent.party.gateway else sent.party.address
    _, config, chain = receiving(mesh, workload).meets(group.address, peer, seen, "virtualInbound")
    passed = Inbound(
        group.names, group.share, True, way.kind, mode.name, mode.source, 200, "", "via_upstream", way.principal
    )
    status, flags, details = 0, "", "connection reset"
    if sent.party.proxy is not None and sent.head is not None:
        status, flags, details = 503, "UC", RESET
    closed = replace(passed, status=status, flags=flags)
    if chain is None:
        return _Door(replace(closed, details=f"{details}: no filter chain"))
    principals = (f"spiffe://{way.principal}".encode(),) if way.kind == MTLS else () if tls else None
    who = Who(f"{peer}:{EPHEMERAL}".encode(), group.address, principals)
    guards = tuple(guard for guard in config.guards if isinstance(guard, NetworkRbac))
    said = authorization.verdict(mesh, guards, who.access(None)) if guards else None
    if said is not None and not said.allowed:
        return _Door(replace(closed, details=f"{details}: rbac_access_denied", authorization=said))
    if not isinstance(chain, HttpChain) or sent.head is None:
        return _Door(replace(passed, authorization=said))
    if way.kind == transport.TLS:
        return _Door(replace(passed, status=0, details="not simulated: TLS of the client's own, to a port for HTTP"))
    rules = tuple(item for item in chain.config.http_filters if isinstance(item, RbacFilter))
    # Two workloads of one chain can be told apart by their address alone, and hardly any rule asks for it.
    address = group.address[0] if "DestinationIp(" in repr(rules) else ""
    return _Door(passed, chain, who, rules, tokens.filter_of(config), address)


def _request(
    mesh: Mesh, chain: HttpChain, sent: bytes, who: Who, rules: tuple[RbacFilter, ...], parser: Parser
) -> _Result:
    """A request of HTTP, with the token's claims if it has any."""
    try:
        head = parser.request(sent)
    except BadMessage as error:
        return _Result(400, "DPE", str(error))
    walked = walk(chain, head, who, certain)
    said = authorization.verdict(mesh, rules, walked.access) if rules and walked.access is not None else None
    if walked.answer is not None:
        reply = walked.answer.reply
        return _Result(reply.status, reply.flags, reply.details, said)
    route = walked.route
    assert route is not None  # noqa: S101 (what has no route has an answer)
    target = rewritten(route, head) or head.target
    host, fields = composition.request(
        head, route, route.destinations[0], None, walked.record, 1, head.upgrade != b"", route.timeout_field
    )
    return _Result(200, "", "via_upstream", said, message(head.method, target, host, fields))

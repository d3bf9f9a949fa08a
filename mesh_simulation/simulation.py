"""``simulate``: one request from who sends it to the applications that may get it, or to whoever answers before."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from mesh_api.config import RbacFilter
from mesh_api.config.routes import MILLION
from mesh_control.compiler.scope import Scope
from mesh_proxy import errors
from mesh_proxy.balancing.host import Host
from mesh_proxy.filters import Answer
from mesh_proxy.filters.cors import Cors
from mesh_proxy.protocol.http1 import Head, Parser
from mesh_proxy.routing.table import CompiledRoute
from mesh_proxy.routing.table import Destination as Target
from mesh_proxy.snapshot import HttpChain, TcpChain
from mesh_proxy.worker import composition
from mesh_proxy.worker.deciding import no_cluster, rewritten
from mesh_simulation import arrival, authorization, origins, tokens
from mesh_simulation.arrival import Sent
from mesh_simulation.connections import Proxied, Seen, certain
from mesh_simulation.decision import Decision, Destination, Fault, Inbound, Message, Retries
from mesh_simulation.limits import not_simulated
from mesh_simulation.mesh import Mesh
from mesh_simulation.parties import NOWHERE, Party, sender, source
from mesh_simulation.proxies import scope_of, sending
from mesh_simulation.request import Request, RequestError
from mesh_simulation.targets import Address, Group, dialled, groups, members, service_named
from mesh_simulation.walk import EPHEMERAL, Walk, Who, answer_fields, message, sent_bytes, walk

_OUTBOUND = re.compile(r"outbound\|(\d+)\|([^|]*)\|(.*)")


class _Asked(NamedTuple):
    """What is the same along the whole way."""

    mesh: Mesh
    request: Request
    party: Party
    random: Callable[[], float] | None
    parser: Parser
    arrived: dict[Any, Any]
    """What was worked out for one destination and holds for others as well."""


def simulate(mesh: Mesh, request: Request, random: Callable[[], float] | None = None) -> Decision:
    """What the mesh does with a request.

    Without ``random`` every destination is followed, and of what happens to a share of the requests only what happens to
    all; with it (numbers in [0, 1)) the dice are thrown as a proxy does. Raises
    :class:`~mesh_simulation.request.RequestError` for a request that cannot be made: its source is unknown, its URL is none.
    """
    parser = mesh.memo.get("parser") or mesh.memo.setdefault("parser", Parser())
    party = sender(mesh, request)
    asked = _Asked(mesh, request, party, random, parser, {})
    if not request.host and not party.gateway:
        raise RequestError(f"url {request.url!r}: names no host; write http://HOST/PATH")
    if party.proxy is None:
        return _direct(asked)
    return _through(asked, sending(mesh, party.proxy), scope_of(mesh, party.proxy))


# Without a proxy of one's own.


def _direct(asked: _Asked) -> Decision:
    """The client connects to a workload of the service by itself."""
    mesh, request, party = asked.mesh, asked.request, asked.party
    service = service_named(mesh, request.host, party.namespace or mesh.namespace)
    found = members(mesh, service, request.host, request.port)
    name = f"{request.host}:{request.port}"
    if not found:
        return Decision(
            request, party.name, 0, details=f"{name}: nobody of the mesh is reached there", not_simulated=_notes(asked)
        )
    head = None if request.protocol == "tcp" else request.head(asked.parser)
    raw = None
    shown: Message | None = None
    if head is not None:
        raw = sent_bytes(head, head.target, head.host, [f for f in head.fields if f.name != b"host"])
        shown = message(head.method, head.target, head.host, head.fields)
    arrived = tuple(
        arrival.arrive(mesh, Sent(request, party, None, "", raw, asked.arrived), group, asked.parser) for group in found
    )
    hostname = service.hostname if service is not None else request.host
    target = _destination(f"direct {name}", 100.0, arrived, shown, found, (hostname, request.port, ""))
    return Decision(
        request, party.name, target.status, target.flags, target.details, destinations=(target,),
        not_simulated=_notes(asked),
    )  # fmt: skip


# Through a proxy.


def _through(asked: _Asked, proxied: Proxied, scope: Scope) -> Decision:
    mesh, request, party = asked.mesh, asked.request, asked.party
    http = request.protocol != "tcp" and not (request.scheme == "https" and not party.gateway)
    seen = Seen(http=http, tls=request.scheme == "https", server_name=request.host)
    peer = request.source_ip or (source(mesh, request).address if party.gateway else party.address)
    if party.gateway:
        port = _gateway_port(mesh, party, request.port)
        destination: Address = party.address or NOWHERE, port
        entry = proxied.listening(port)
        if entry is None:
            ports = ", ".join(map(str, proxied.ports)) or "none"
            why = f"connection refused: the gateway does not listen on port {port}; it listens on {ports}"
            return _answered(asked, 0, "", why)
    else:
        destination, entry = dialled(mesh, request.host, request.port, party.namespace), "virtualOutbound"
    listener, config, chain = proxied.meets(destination, peer, seen, entry)
    if chain is None:
        return _answered(asked, 0, "NR", "filter_chain_not_found", listener=listener)
    named = {"listener": listener, "chain": config.name}
    if isinstance(chain, TcpChain) or not http:
        return _bytes(asked, proxied, scope, chain, destination, named)
    who = Who(f"{peer}:{EPHEMERAL}".encode(), destination)
    if party.gateway:
        token = tokens.token(mesh, request, tokens.filter_of(config))
        named["authentication"] = token.told
        if token.refused:
            return _answered(asked, token.status, "", token.refused, **named)
        who = who._replace(metadata=token.metadata)
    walked = walk(chain, request.head(asked.parser), who, asked.random or certain)
    return _http(asked, proxied, scope, chain, walked, destination, named)


def _gateway_port(mesh: Mesh, party: Party, port: int) -> int:
    """A service in front of a gateway may hand its port on to another one."""
    if party.proxy is not None:
        for service, member in scope_of(mesh, party.proxy).own_instances:
            for own in service.ports:
                if own.number == port:
                    return member.port(own)
    return port


def _answered(asked: _Asked, status: int, flags: str, details: str, **more: Any) -> Decision:
    return Decision(asked.request, asked.party.name, status, flags, details, not_simulated=_notes(asked), **more)


def _bytes(
    asked: _Asked, proxied: Proxied, scope: Scope, chain: Any, destination: Address, named: dict[str, str]
) -> Decision:
    """A connection: to the chain's clusters, whatever is in it."""
    if not isinstance(chain, TcpChain):
        return _answered(asked, 0, "DPE", "what is no HTTP meets a port for HTTP", **named)
    total = chain.total or 1
    chosen = None if asked.random is None else chain.choose(asked.random())
    targets = []
    for name, weight in chain.clusters:
        if chosen not in (None, name) or not weight:
            continue
        share = 100.0 if chosen else round(100 * weight / total, 4)
        targets.append(_sent_on(asked, proxied, scope, name, share, None, destination, None))
    return _decided(asked, tuple(targets), **named)


def _http(
    asked: _Asked, proxied: Proxied, scope: Scope, chain: HttpChain, walked: Walk, destination: Address,
    named: dict[str, str],
) -> Decision:  # fmt: skip
    route, known = walked.route, dict[str, Any](named)
    if route is not None:
        known |= _about(asked, scope, chain, walked, route, destination)
    rules = [item for item in chain.config.http_filters if isinstance(item, RbacFilter)]
    if rules and walked.access is not None:
        known["authorization"] = authorization.verdict(asked.mesh, rules, walked.access)
    if walked.answer is not None:
        return _own(asked, walked.answer, walked, known)
    assert route is not None  # noqa: S101 (what has no route has an answer)
    targets = tuple(
        _to_host(asked, proxied, scope, walked, route, item, share, destination)
        for item, share in _choice(asked, route, walked.head)
    )
    known["response_headers"] = answer_fields(chain, walked, asked.parser)
    return _decided(asked, targets, flags=walked.record.flags, **known)


def _choice(asked: _Asked, route: CompiledRoute, head: Head) -> list[tuple[Target, float]]:
    """The destinations that may be chosen, with their shares in percent."""
    if asked.random is not None or (route.hashed is not None and route.hashed.of(head) is not None):
        return [(route.choose(0.0 if asked.random is None else asked.random(), head), 100.0)]
    if not route.total:
        return [(route.destinations[0], 100.0)]
    before, found = 0, []
    for item, until in zip(route.destinations, route.cumulative, strict=True):
        if until > before:
            found.append((item, round(100 * (until - before) / route.total, 4)))
        before = until
    return found


def _to_host(
    asked: _Asked, proxied: Proxied, scope: Scope, walked: Walk, route: CompiledRoute, item: Target, share: float,
    destination: Address,
) -> Destination:  # fmt: skip
    cluster = proxied.cluster(item.cluster)
    first = None if cluster is None else cluster.pick(destination, [], 0)
    named = first if route.action is not None and route.action.auto_host_rewrite else None
    key = "head", item.host_rewrite, item.request_edits, named
    found = asked.arrived.get(key)
    if found is None:
        found = asked.arrived[key] = _head(walked, route, item, first)
    made, raw = found
    return _sent_on(asked, proxied, scope, item.cluster, share, made, destination, raw, route)


def _head(walked: Walk, route: CompiledRoute, item: Target, first: Host | None) -> tuple[Message, bytes]:
    """What is sent to a host of the route's destination, for people and as bytes."""
    head, record = walked.head, walked.record
    target = rewritten(route, head)
    record.original_path = head.target if target is not None else b""
    host, fields = composition.request(head, route, item, first, record, 1, head.upgrade != b"", route.timeout_field)
    path = target if target is not None else head.target
    return message(head.method, path, host, fields), sent_bytes(head, path, host, fields)


def _sent_on(
    asked: _Asked, proxied: Proxied, scope: Scope, name: str, share: float, made: Message | None, destination: Address,
    raw: bytes | None, route: CompiledRoute | None = None,
) -> Destination:  # fmt: skip
    """To a cluster, and what the proxies behind it say."""
    cluster = proxied.cluster(name)
    where = _where(name, asked.request)
    if cluster is None:
        reply = errors.CLUSTER_NOT_FOUND if route is None else no_cluster(route)
        return Destination(name, share, reply.status if raw else 0, reply.flags, reply.details, *where)
    found = groups(asked.mesh, cluster, destination)
    if not found:
        reply = errors.NO_HEALTHY_UPSTREAM
        return Destination(name, share, reply.status if raw else 0, reply.flags, reply.details, *where, request=made)
    sent = Sent(asked.request, asked.party, scope, name, raw, asked.arrived)
    arrived = tuple(arrival.arrive(asked.mesh, sent, group, asked.parser) for group in found)
    return _destination(name, share, arrived, made, found, where)


def _where(cluster: str, request: Request) -> tuple[str, int, str]:
    """Host, port and subset of a cluster's name; those that were asked for where it has none."""
    parts = _OUTBOUND.fullmatch(cluster)
    return (request.host, request.port, "") if parts is None else (parts[3], int(parts[1]), parts[2])


def _destination(
    name: str, share: float, arrived: tuple[Inbound, ...], made: Message | None, found: tuple[Group, ...],
    where: tuple[str, int, str],
) -> Destination:  # fmt: skip
    worst = max(arrived, key=lambda inbound: inbound.share)
    names = tuple(name for group in found for name in group.names)
    known = arrived if any(group.workload is not None for group in found) else ()
    return Destination(name, share, worst.status, worst.flags, worst.details, *where, names, made, known)


def _own(asked: _Asked, answer: Answer, walked: Walk, known: dict[str, Any]) -> Decision:
    """An answer of the proxy itself."""
    reply = answer.reply
    record = walked.record
    record.flag(reply.flags)
    fields = {name: value.decode("latin-1") for name, value in answer.fields}
    return _answered(
        asked, reply.status, record.flags, reply.details, body=reply.body.decode("utf-8", "replace"),
        location=fields.pop(b"location", ""),
        response_headers=tuple((name.decode("latin-1"), value) for name, value in fields.items()), **known,
    )  # fmt: skip


def _decided(asked: _Asked, targets: tuple[Destination, ...], flags: str = "", **known: Any) -> Decision:
    most = max(targets, key=lambda target: target.weight)
    joined = ",".join(part for part in (flags, most.flags) if part)
    return Decision(
        asked.request, asked.party.name, most.status, joined, most.details, destinations=targets,
        not_simulated=_notes(asked), **known,
    )  # fmt: skip


def _about(
    asked: _Asked, scope: Scope, chain: HttpChain, walked: Walk, route: CompiledRoute, destination: Address
) -> dict[str, Any]:
    """What the route says beside where to."""
    host = chain.table.host(walked.head.host)
    assert host is not None  # noqa: S101 (it has the route)
    port = asked.request.port
    found: dict[str, Any] = {
        "route": origins.taken(asked.mesh, scope, route, host.config, asked.party.gateway, port),
        "timeout": route.timeout,
        "delayed": walked.delayed,
    }
    if route.retry is not None:
        policy = route.retry.policy
        found["retries"] = Retries(policy.num_retries, policy.retry_on, policy.per_try_timeout)
    fault = route.config.fault
    if fault is not None:
        status = fault.abort_http_status
        abort = f"gRPC {fault.abort_grpc_status}" if fault.abort_grpc_status is not None else str(status or "")
        found["fault"] = Fault(fault.delay, fault.delay_fraction / 10_000, abort, fault.abort_fraction / 10_000)
    if route.action is not None and route.action.mirrors:
        found["mirrors"] = tuple((mirror.cluster, mirror.fraction * 100 / MILLION) for mirror in route.action.mirrors)
    if route.cors is not None:
        found["cors"] = _cors(route, walked.head)
    return found


def _cors(route: CompiledRoute, head: Head) -> str:
    origin = head.get(b"origin")
    if origin is None:
        return "a policy; the request has no Origin"
    allowed = bool(Cors().on_response(head, route, []))
    return f"origin {origin.decode('latin-1')} is {'allowed' if allowed else 'not allowed'}"


def _notes(asked: _Asked) -> tuple[str, ...]:
    return not_simulated(asked.mesh, asked.party)

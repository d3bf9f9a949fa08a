"""Which requests two meshes treat differently: requests made of the policies of both, put to both."""

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, NamedTuple

from mesh_control.services import Service, Workload
from mesh_policy import Policy, VirtualService
from mesh_policy.hosts import covers, qualify
from mesh_simulation.decision import Decision, Destination, Inbound
from mesh_simulation.mesh import Mesh
from mesh_simulation.parties import TRUST_DOMAIN
from mesh_simulation.probes import PLAIN, Probe, probes
from mesh_simulation.proxies import receiver
from mesh_simulation.request import OUTSIDE, Request, RequestError
from mesh_simulation.simulation import simulate

_SECURITY = ("AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication")
_OF_HOSTS = ("VirtualService", "DestinationRule", "ServiceEntry", "WorkloadEntry")


@dataclass(frozen=True, slots=True)
class Change:
    """One change of behaviour with an example: the shortest request that shows it.

    ``what`` names what differs (``destination``, ``status``, ``verdict``, ``location``, ``path``, ``timeout`` ...);
    ``similar`` is how many further requests of those that were tried change in the same way.
    """

    request: Request
    what: tuple[str, ...]
    before: Decision
    after: Decision
    similar: int = 0

    def __str__(self) -> str:
        more = f" (and {self.similar} like it)" if self.similar else ""
        sent = bool(self.before.destinations and self.after.destinations)
        what = self.what if sent else ()  # how it was sent is no difference where it is not sent at all
        return f"{self.request}: {_told(self.before, what)} -> {_told(self.after, what)}{more}"

    def to_json(self) -> dict[str, Any]:
        """Plain values: request, what, before and after with status, summary and outcomes."""
        return {
            "request": self.before.to_json()["request"],
            "what": list(self.what),
            "before": _json(self.before),
            "after": _json(self.after),
            "similar": self.similar,
            "text": str(self),
        }


def _json(decision: Decision) -> dict[str, Any]:
    plain = decision.to_json()
    names = ("status", "flags", "details", "location", "outcomes", "timeout", "retries", "fault", "mirrors", "route")
    return {"summary": decision.summary, **{name: plain[name] for name in names}}


def behaviour_diff(old: Mesh, new: Mesh) -> list[Change]:
    """The changes from ``old`` to ``new``, in the order of their hosts; empty where no request that was tried is treated
    differently. Deterministic: equal meshes give equal lists."""
    found: dict[Any, list[tuple[Request, Decision, Decision]]] = {}
    for host, relevant in _hosts(old, new):
        for request in _requests(old, new, host, relevant):
            before, after = _asked(old, request), _asked(new, request)
            was, is_ = _signature(before), _signature(after)
            if was != is_:
                found.setdefault((host, request.via, _key(was), _key(is_)), []).append((request, before, after))
    return [_change(group) for group in found.values()]


def _change(group: list[tuple[Request, Decision, Decision]]) -> Change:
    request, before, after = min(group, key=lambda item: len(str(replace(item[0], source=""))))
    was, is_ = _signature(before), _signature(after)
    what = tuple(name for name in was if was[name] != is_[name])
    return Change(request, what, before, after, len(group) - 1)


def _asked(mesh: Mesh, request: Request) -> Decision:
    try:
        return simulate(mesh, request)
    except RequestError as error:  # its source or gateway is not in this mesh
        return Decision(request, "", 0, details=str(error))


# What counts as the same.


def _signature(decision: Decision) -> dict[str, Any]:
    return {
        "destination": tuple(sorted((d.host, d.port, d.subset, d.weight) for d in decision.destinations)),
        "status": tuple(sorted((status, flags, share) for (_, status, flags), share in decision.outcomes.items())),
        "verdict": tuple(sorted({_verdict(i) for d in decision.destinations for i in d.inbound})),
        "location": decision.location,
        "path": tuple(sorted({_sent(d) for d in decision.destinations if d.request is not None})),
        "timeout": decision.timeout,
        "retries": decision.retries,
        "fault": decision.fault,
        "mirror": decision.mirrors,
        "body": decision.body,
        "headers": (decision.response_headers, *(_written(d) for d in decision.destinations)),
    }


def _verdict(inbound: Inbound) -> tuple[str, str, bool, str]:
    allowed = inbound.authorization is None or inbound.authorization.allowed
    policy = "" if allowed or inbound.authorization is None else inbound.authorization.policy
    return inbound.transport, inbound.authentication, allowed, policy


def _sent(destination: Destination) -> tuple[str, str]:
    assert destination.request is not None  # noqa: S101 (the caller looked)
    return destination.request.host, destination.request.target.partition("?")[0]


_OWN = frozenset({"x-envoy-expected-rq-timeout-ms", "x-envoy-original-path", "x-envoy-original-host"})


def _written(destination: Destination) -> tuple[tuple[str, str], ...]:
    """The fields that go out, without those that tell what is compared by itself."""
    fields = () if destination.request is None else destination.request.headers
    return tuple(sorted(field for field in fields if field[0] not in _OWN))


def _key(signature: dict[str, Any]) -> Any:
    """Requests that differ in the path alone that they ask for change in the same way."""
    return tuple(str(value) for name, value in signature.items() if name not in ("path", "headers", "location")), (
        len(signature["path"]), bool(signature["location"])
    )  # fmt: skip


def _told(decision: Decision, what: tuple[str, ...]) -> str:
    more = []
    if "timeout" in what:
        more.append(f"timeout {decision.timeout:g} s" if decision.timeout else "no timeout")
    if "retries" in what and decision.retries is not None:
        more.append(f"{decision.retries.attempts} retries")
    if "path" in what:
        more += [f"as {d.request.host}{d.request.target}" for d in decision.destinations[:1] if d.request is not None]
    if "fault" in what:
        fault = decision.fault
        more.append("no fault" if fault is None else f"abort {fault.abort_share:g} %, delay {fault.delay_share:g} %")
    if "mirror" in what:
        more.append(f"{len(decision.mirrors)} mirrors")
    return ", ".join([decision.summary, *more])


# Which requests are made.


class _Relevant(NamedTuple):
    """The policies that decide about a host in either mesh, and the gateways that lead to it."""

    policies: tuple[Policy, ...]
    gateways: tuple[str, ...]


def _hosts(old: Mesh, new: Mesh) -> Iterator[tuple[str, _Relevant]]:
    """The hosts that a difference concerns, sorted."""
    changed = _changed(old, new)
    if not changed:
        return
    known = {policy.key: policy for policy in old.world.policies}
    everything = [*old.world.policies, *(p for p in new.world.policies if known.get(p.key) != p)]
    services = {host: s for mesh in (old, new) for host, s in mesh.world.service_by_host.items()}
    names = {*services, *(h for p in changed if isinstance(p, VirtualService) for h in _own_hosts(p))}
    for host in sorted(name for name in names if not name.startswith("*")):
        service = services.get(host)
        if any(_concerns(item, host, service, old, new) for item in changed):
            relevant = [p for p in everything if _concerns(p, host, service, old, new)]
            bound = [p for p in relevant if isinstance(p, VirtualService)]
            gateways = {_full(g, p) for p in bound for g in p.spec.gateways or () if g != "mesh"}
            yield host, _Relevant(tuple(relevant), tuple(sorted(gateways)))


def _full(gateway: str, policy: Policy) -> str:
    return gateway if "/" in gateway else f"{policy.metadata.namespace}/{gateway}"


def _changed(old: Mesh, new: Mesh) -> list[Any]:
    """Policies, services and workloads that are not in both as they are."""
    sides = [{p.key: p for p in mesh.world.policies} for mesh in (old, new)]
    found: list[Any] = [p for a, b in (sides, sides[::-1]) for key, p in a.items() if b.get(key) != p]
    for a, b in ((old.world, new.world), (new.world, old.world)):
        found += [s for s in a.services if b.service_by_host.get(s.hostname) != s]
        known = {(w.name, w.namespace): w for w in b.workloads}
        found += [w for w in a.workloads if known.get((w.name, w.namespace)) != w]
    return found


def _own_hosts(policy: Any) -> list[str]:
    spec = policy.spec
    named = getattr(spec, "hosts", None) or ((spec.host,) if getattr(spec, "host", None) else ())
    return [qualify(host, policy.metadata.namespace) for host in named]


def _concerns(item: Any, host: str, service: Service | None, old: Mesh, new: Mesh) -> bool:
    if isinstance(item, Service):
        return item.hostname == host
    members = [w for mesh in (old, new) for w in mesh.world.members.get(host, ())]
    if isinstance(item, Workload):
        return item in members
    if item.kind in _SECURITY:
        roots = {mesh.world.mesh.root_namespace for mesh in (old, new)}
        return any(_selects(item, workload, roots) for workload in members)
    if item.kind == "VirtualService":
        leads = any(qualify(d.destination.host, item.metadata.namespace) == host for d in _destinations(item))
        return leads or any(covers(name, host) for name in _own_hosts(item))
    if item.kind == "WorkloadEntry":
        return any((w.name, w.namespace) == (item.metadata.name, item.metadata.namespace) for w in members)
    if item.kind in _OF_HOSTS:
        return any(covers(name, host) for name in _own_hosts(item))
    return True  # a Gateway, a Sidecar: who knows


def _destinations(policy: VirtualService) -> Iterator[Any]:
    for rule in policy.spec.http or ():
        yield from rule.route or ()


def _selects(policy: Policy, workload: Workload, roots: Set[str]) -> bool:
    namespace = policy.metadata.namespace
    if namespace != workload.namespace and namespace not in roots:
        return False
    selector = getattr(policy.spec, "selector", None)
    return selector is None or (selector.match_labels or {}).items() <= workload.labels.items()


def _requests(old: Mesh, new: Mesh, host: str, relevant: _Relevant) -> Iterator[Request]:
    tried = probes(relevant.policies)
    ports: dict[int, bool] = {}
    for mesh in (old, new):
        service = mesh.world.service_by_host.get(host)
        ports |= {port.number: port.tcp for port in service.ports} if service is not None else {}
    for source in _sources((old, new), relevant.policies):
        for number, tcp in ports.items() or {80: False}.items():
            yield from _made(source, host, number, tcp, tried)
    for principal in _strangers((old, new), relevant.policies):
        for number, tcp in ports.items():
            for request in _made(OUTSIDE, host, number, tcp, tried):
                yield replace(request, principal=principal)
    for gateway in relevant.gateways:
        for probe in tried:
            yield _request(OUTSIDE, f"http://{host}{probe.target}", probe, via=gateway)


def _made(source: str, host: str, port: int, tcp: bool, tried: tuple[Probe, ...]) -> Iterator[Request]:
    authority = host if port == 80 else f"{host}:{port}"
    for probe in (PLAIN,) if tcp else tried:
        yield _request(source, f"http://{authority}{probe.target}", probe, protocol="tcp" if tcp else "http")


def _request(source: str, url: str, probe: Probe, **more: Any) -> Request:
    claims = None if probe.claims is None else dict(probe.claims)
    return Request(source, url, probe.method, dict(probe.headers), claims=claims, **more)


def _sources(meshes: Iterable[Mesh], policies: Iterable[Policy]) -> list[str]:
    """One workload for each way in which the policies can tell sources apart, and somebody without a proxy where
    identities matter."""
    patterns = sorted(
        {text for policy in policies if policy.kind == "AuthorizationPolicy" for text in _identities(policy)}
    )
    sides: list[dict[Any, dict[str, None]]] = []
    for mesh in meshes:
        sides.append({})
        for workload in mesh.world.workloads:
            scope = receiver(mesh, workload)
            key = (scope.view, workload.sidecar, _told_apart(workload, patterns))
            sides[-1].setdefault(key, {}).update(dict.fromkeys(_names(workload)))
    found = [_in_all([side[key] for side in sides if key in side]) for key in dict.fromkeys(chain(*sides))]
    secured = any(policy.kind in _SECURITY for policy in policies)
    return [*dict.fromkeys(found), *([OUTSIDE] if secured or not found else [])]


def _names(workload: Workload) -> Iterator[str]:
    """Its own, and that of its application: pods get new names when nothing else about them changes."""
    yield f"{workload.name}.{workload.namespace}"
    if app := workload.labels.get("app"):
        yield f"{app}.{workload.namespace}"


def _in_all(sides: list[dict[str, None]]) -> str:
    """A name that every mesh knows, else the first."""
    return next((name for name in sides[0] if all(name in side for side in sides)), next(iter(sides[0])))


def _strangers(meshes: Iterable[Mesh], policies: Iterable[Policy]) -> list[str]:
    """Identities that policies name and that no workload of the meshes has."""
    known = [f"{TRUST_DOMAIN}/ns/{w.namespace}/sa/{w.account}" for m in meshes for w in m.world.workloads]
    named = sorted(
        {text for policy in policies if policy.kind == "AuthorizationPolicy" for text in _identities(policy)}
    )
    found = []
    for name, _, wanted in (text.partition(" ") for text in named):
        if name in ("principals", "source.principal"):
            missing = not any(_fits(name, wanted, {name: principal}) for principal in known)
            found += [wanted.replace("*", "x")] if missing else []
        elif name in ("namespaces", "source.namespace") and not any(f"/ns/{wanted}/" in text for text in known):
            found.append(f"{TRUST_DOMAIN}/ns/{wanted.replace('*', 'x')}/sa/default")
    return list(dict.fromkeys(found))


def _identities(policy: Any) -> Iterator[str]:
    for rule in policy.spec.rules or ():
        for item in rule.from_ or ():
            for name, values in item.source.model_dump(exclude_none=True).items():
                yield from (f"{name.removeprefix('not_')} {value}" for value in values)
        for condition in rule.when or ():
            values = (*(condition.values or ()), *(condition.not_values or ()))
            yield from (f"{condition.key} {value}" for value in values if condition.key.startswith("source."))


def _told_apart(workload: Workload, patterns: list[str]) -> tuple[bool, ...]:
    account = workload.account
    mine: Mapping[str, str] = {
        "principals": f"{TRUST_DOMAIN}/ns/{workload.namespace}/sa/{account}",
        "source.principal": f"{TRUST_DOMAIN}/ns/{workload.namespace}/sa/{account}",
        "namespaces": workload.namespace,
        "source.namespace": workload.namespace,
        "service_accounts": f"{workload.namespace}/{account}",
        "source.serviceAccount": f"{workload.namespace}/{account}",
        "ip_blocks": workload.address,
        "source.ip": workload.address,
    }
    return tuple(_fits(name, wanted, mine) for name, _, wanted in (pattern.partition(" ") for pattern in patterns))


def _fits(name: str, wanted: str, mine: Mapping[str, str]) -> bool:
    value = mine.get(name, "")
    if wanted.startswith("*"):
        return value.endswith(wanted[1:])
    if wanted.endswith("*"):
        return value.startswith(wanted[:-1])
    return value == wanted or value.endswith(f"/{wanted}")

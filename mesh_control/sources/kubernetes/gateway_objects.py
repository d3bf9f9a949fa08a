"""What objects of the Gateway API are told about themselves, in the form of their statuses. Pure.

What is said comes from :mod:`mesh_control.gateway_api`, of the world that is in force. What other controllers have written
stays: of a route, their entries among ``parents``; of a Gateway and a GatewayClass, conditions of other types.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mesh_control.conditions import Condition
from mesh_control.gateway_api.conversion import ROUTES, Objects, objects
from mesh_control.gateway_api.converted import CLASSES, Surroundings
from mesh_control.gateway_api.gateway_status import Front, GatewayState, state
from mesh_control.gateway_api.listeners import services_of
from mesh_control.gateway_api.route_status import AtParent, at_parents, refused
from mesh_control.sources.kubernetes.reflector import Key, Raw
from mesh_control.sources.kubernetes.resources import Collection
from mesh_control.sources.kubernetes.source import Cluster
from mesh_control.sources.kubernetes.status import Event, Proxies, shortened
from mesh_control.world import World
from mesh_policy import Policy, ServiceEntry
from mesh_policy.gateway_api.gateway import Gateway, is_address
from mesh_policy.gateway_api.gateway_class import GatewayClass
from mesh_policy.gateway_api.kind import GROUP
from mesh_policy.gateway_api.parent_refs import ParentRef

CLASSES_PATH = f"/apis/{GROUP}/v1/gatewayclasses"
Value = dict[str, Any]
_PASSING = ("Pending", "AddressNotAssigned")
"""Reasons that go away by themselves: nobody has to mend anything."""


@dataclass(frozen=True, slots=True)
class Told:
    """An object whose status is not what it should be, and that ``status``; ``event`` is what to tell of the change."""

    collection: Collection
    key: Key
    value: Raw
    status: Value
    event: Event | None


@dataclass(slots=True)
class Memo:
    """What was found of routes in the world before: most changes of a world are none for them."""

    around: Surroundings | None = None
    kept: Sequence[Policy] = ()
    known: Objects | None = None
    parents: dict[tuple[str, str, str], tuple[AtParent, ...]] = field(default_factory=dict)

    def of(self, world: World) -> Objects:
        """The objects of a world; what was found is forgotten where they, or what is around them, are others."""
        kept = [policy for policy in world.policies if policy.GROUP == GROUP or isinstance(policy, ServiceEntry)]
        if self.known is None or self.around != world.around or self.kept != kept:
            self.around, self.kept, self.parents = world.around, kept, {}
            self.known = objects(kept, world.around)
        return self.known


def told(cluster: Cluster, world: World, proxies: Proxies, now: str, memo: Memo) -> Iterator[Told]:
    """Every object of which something else is to be said than its status has. ``now`` is as Kubernetes writes times."""
    view = _View(cluster, world, memo.of(world), proxies, now, memo.parents)
    in_force = {policy.key: policy for policy in world.policies if policy.GROUP == GROUP}
    for collection, mirror in list(cluster.mirrors.items()):
        if collection.group != GROUP:
            continue
        for key, value in list(mirror.reflector.items.items()):
            policy, problem = mirror.typed.get(key), mirror.broken.get(key, "")
            if policy is not None and not problem and in_force.get(policy.key) != policy:
                continue  # what is to be said is known when it is in force
            status = view.status(collection.kind, value, policy, problem)
            if status is not None:
                yield Told(
                    collection, key, value, status, _event(value.get("status") or {}, status, cluster.controller)
                )


def missing_class(cluster: Cluster) -> Value | None:
    """The GatewayClass of our controller, where the cluster knows such objects and has none of that name."""
    name = CLASSES.get(cluster.controller)
    mirror = next((m for c, m in cluster.mirrors.items() if (c.group, c.kind) == (GROUP, GatewayClass.KIND)), None)
    if name is None or mirror is None or not mirror.reflector.synced or ("", name) in mirror.reflector.items:
        return None
    spec = {"controllerName": cluster.controller, "description": "Gateways of Meshwright"}
    return {"apiVersion": f"{GROUP}/v1", "kind": "GatewayClass", "metadata": {"name": name}, "spec": spec}


@dataclass(frozen=True, slots=True)
class _View:
    cluster: Cluster
    world: World
    known: Objects
    proxies: Proxies
    now: str
    found: dict[tuple[str, str, str], tuple[AtParent, ...]]

    def status(self, kind: str, value: Raw, policy: Policy | None, problem: str) -> Value | None:
        """The object's new status; ``None``: it is as it should be, or not ours to write."""
        if kind == GatewayClass.KIND:
            ours = (value.get("spec") or {}).get("controllerName") == self.cluster.controller
            return self._of_class(value, problem) if ours else None
        if kind == Gateway.KIND and policy is None:
            named = (value.get("spec") or {}).get("gatewayClassName")
            return self._of_unusable_gateway(value, problem) if named in self.known.classes else None
        if kind == Gateway.KIND:
            ours = isinstance(policy, Gateway) and _place(policy) in self.known.parents.gateways
            return self._of_gateway(value, policy, problem) if ours and isinstance(policy, Gateway) else None
        if kind in [route.KIND for route in ROUTES]:
            return self._of_route(value, policy, problem)
        return None

    def _of_class(self, value: Raw, problem: str) -> Value | None:
        former = value.get("status") or {}
        accepted = Condition("Accepted", True, "Accepted", "Handled by Meshwright")
        if problem:
            accepted = Condition("Accepted", False, "InvalidParameters", _plain(problem))
        made = self._written(value, former, (accepted,))
        return None if former.get("conditions") == made else {"conditions": made}

    def _of_unusable_gateway(self, value: Raw, problem: str) -> Value | None:
        """One that could never be used: nothing is known of its listeners, and none is open."""
        former = value.get("status") or {}
        told = (
            Condition("Accepted", False, "Invalid", _plain(problem)),
            Condition("Programmed", False, "Invalid", "what is invalid is not sent to any proxy"),
        )
        made = self._written(value, former, told)
        return None if former.get("conditions") == made else {"conditions": made}

    def _of_gateway(self, value: Raw, gateway: Gateway, problem: str) -> Value | None:
        former = value.get("status") or {}
        found = state(gateway, self.known, self._fronts(gateway))
        conditions = [self._by_proxies(condition) for condition in found.conditions]
        if problem:
            conditions = [Condition("Accepted", False, "Invalid", _plain(problem)), *conditions[1:]]
        status: Value = {
            "conditions": self._written(value, former, conditions),
            "listeners": list(self._listeners(value, former, found)),
        }
        # Once there was an address, none is taken away: who has it may reach what comes back (Istio).
        if found.addresses:
            status["addresses"] = [
                {"type": "IPAddress" if is_address(address) else "Hostname", "value": address}
                for address in found.addresses
            ]
        return None if all(former.get(name) == content for name, content in status.items()) else status

    def _by_proxies(self, condition: Condition) -> Condition:
        """A Gateway runs with what it says when the proxies have taken it."""
        if condition.type != "Programmed" or not condition.holds:
            return condition
        count = f"acknowledged by {self.proxies.taken} of {self.proxies.connected} proxies"
        if self.proxies.refusals:
            refusals = shortened(f"{count}; {'; '.join(self.proxies.refusals)}")
            return replace(condition, holds=False, reason="Invalid", message=refusals)
        if self.proxies.taken < self.proxies.connected:
            return replace(condition, holds=False, reason="Pending", message="proxies have not taken it yet")
        return condition

    def _listeners(self, value: Raw, former: Mapping[str, Any], found: GatewayState) -> Iterator[Value]:
        known = {item.get("name"): item for item in former.get("listeners") or ()}
        for listener in found.listeners:
            yield {
                "name": listener.name,
                "supportedKinds": [{"group": group, "kind": kind} for group, kind in listener.kinds],
                "attachedRoutes": listener.attached,
                "conditions": self._written(value, known.get(listener.name) or {}, listener.conditions),
            }

    def _fronts(self, gateway: Gateway) -> Mapping[str, Front]:
        found: dict[str, Front] = {}
        for host in services_of(gateway):
            service = self.world.service_by_host.get(host)
            if service is None or service.namespace != gateway.metadata.namespace:
                continue
            members = self.world.members.get(host, ())
            ports = frozenset(port.number for port in service.ports if any(w.port(port) for w in members))
            raw = self._service(service.namespace, service.name)
            balanced = (raw.get("spec") or {}).get("type") == "LoadBalancer"
            found[host] = Front(service.addresses, tuple(_ingress(raw)), balanced, ports)
        return found

    def _service(self, namespace: str, name: str) -> Raw:
        mirrors = (m for c, m in self.cluster.mirrors.items() if (c.group, c.kind) == ("", "Service"))
        return next((item for m in mirrors if (item := m.reflector.items.get((namespace, name))) is not None), {})

    def _of_route(self, value: Raw, policy: Policy | None, problem: str) -> Value | None:
        former = (value.get("status") or {}).get("parents") or []
        if problem:
            refs = _parent_refs(value)
            namespace = str((value.get("metadata") or {}).get("namespace") or "")
            wanted = refused(refs, namespace, self.known.parents, _plain(problem))
        elif isinstance(policy, ROUTES):
            if policy.key not in self.found:
                self.found[policy.key] = at_parents(policy, self.known.parents, self.known.grants)
            wanted = self.found[policy.key]
        else:
            return None
        made = self._parents(value, former, wanted)
        return None if made == former else {"parents": made}

    def _parents(self, value: Raw, former: Sequence[Mapping[str, Any]], wanted: Sequence[AtParent]) -> list[Value]:
        """Entries that were there stay in their place, and new ones follow."""
        own = {_reference(item.ref): item for item in wanted}
        made: list[Value] = []
        for entry in former:
            if entry.get("controllerName") != self.cluster.controller:
                made.append(dict(entry))
            elif (item := own.pop(_reference(entry.get("parentRef") or {}), None)) is not None:
                made.append(self._entry(value, entry, item))
        return [*made, *(self._entry(value, {}, item) for item in own.values())]

    def _entry(self, value: Raw, former: Mapping[str, Any], item: AtParent) -> Value:
        return {
            "parentRef": former.get("parentRef") or item.ref.to_yaml_value(),
            "controllerName": self.cluster.controller,
            "conditions": self._written(value, former, item.conditions),
        }

    def _written(self, value: Raw, former: Mapping[str, Any], conditions: Iterable[Condition]) -> list[Value]:
        """The conditions with generation and time; those of other types stay."""
        known = {item.get("type"): item for item in former.get("conditions") or ()}
        generation = (value.get("metadata") or {}).get("generation")
        made = []
        for condition in conditions:
            holds, before = "True" if condition.holds else "False", known.pop(condition.type, {})
            since = before.get("lastTransitionTime") if before.get("status") == holds else None
            made.append(
                {
                    "type": condition.type,
                    "status": holds,
                    "reason": condition.reason,
                    "message": shortened(condition.message),
                    "lastTransitionTime": since or self.now,
                    **({"observedGeneration": generation} if generation is not None else {}),
                }
            )
        return [*made, *map(dict, known.values())]


def _place(policy: Policy) -> tuple[str, str]:
    return policy.metadata.namespace, policy.metadata.name


def _parent_refs(value: Raw) -> list[ParentRef]:
    """Those of an object that cannot be read as a whole."""
    found = []
    for item in (value.get("spec") or {}).get("parentRefs") or ():
        try:
            found.append(ParentRef.model_validate(item))
        except ValueError:
            continue
    return found


def _reference(ref: ParentRef | Mapping[str, Any]) -> tuple[object, ...]:
    """By which a reference is the same one, whether defaults are written or not."""
    if isinstance(ref, ParentRef):
        return *ref.target, ref.section_name, ref.port
    group = GROUP if ref.get("group") is None else ref["group"]
    return (
        group,
        ref.get("kind") or "Gateway",
        *(ref.get(part) for part in ("namespace", "name", "sectionName", "port")),
    )


def _ingress(service: Raw) -> Iterator[str]:
    balancer = (service.get("status") or {}).get("loadBalancer") or {}
    for item in balancer.get("ingress") or ():
        if found := item.get("ip") or item.get("hostname"):
            yield str(found)


def _plain(problem: str) -> str:
    return "\n".join(line.removeprefix("kubernetes: ") for line in problem.splitlines())


def _event(former: Mapping[str, Any], status: Mapping[str, Any], controller: str) -> Event | None:
    """What is wrong now and was not before, or is no longer."""
    before = dict(_conditions(former, controller))
    mended = False
    for place, item in _conditions(status, controller):
        known = before.get(place) or {}
        holds, was = item.get("status") == "True", known.get("status")
        if not holds and item["reason"] not in _PASSING and known.get("reason") != item["reason"]:
            return Event(True, item["reason"], item["message"])
        mended = mended or (holds and was == "False" and place[-1] == "Accepted")
    return Event(False, "Accepted", "can be used again") if mended else None


def _conditions(status: Mapping[str, Any], controller: str) -> Iterator[tuple[tuple[object, ...], Mapping[str, Any]]]:
    """Ours, by where they stand; ``Conflicted`` says the opposite of all others, and what it says the others say as well."""
    places: list[tuple[tuple[object, ...], Mapping[str, Any]]] = [((), status)]
    entries = [entry for entry in status.get("parents") or () if entry.get("controllerName") == controller]
    places += [((_reference(entry.get("parentRef") or {}),), entry) for entry in entries]
    places += [((listener.get("name"),), listener) for listener in status.get("listeners") or ()]
    for place, holder in places:
        for item in holder.get("conditions") or ():
            if item.get("type") in ("Accepted", "Programmed", "ResolvedRefs"):
                yield (*place, item["type"]), item

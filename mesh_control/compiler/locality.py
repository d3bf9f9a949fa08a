"""Which hosts of a cluster come first, by where they and the client are, and how much each place gets (Istio's locality
load balancing: mesh settings, DestinationRules, and what a service says of its clients)."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from mesh_api.config import LocalityEndpoints
from mesh_control.proxies import Proxy
from mesh_control.services import Service, Workload
from mesh_control.world import World
from mesh_policy import DestinationRule
from mesh_policy.mesh_config import MeshConfig
from mesh_policy.networking.destination_rule import (
    LoadBalancer,
    LocalityDistribute,
    LocalityFailover,
    LocalityLbSetting,
    PortTrafficPolicy,
    TrafficPolicy,
    ZoneAwareLbSetting,
)
from mesh_policy.networking.localities import TOPOLOGY

NETWORK = "topology.istio.io/network"
HOSTNAME = "kubernetes.io/hostname"
CLUSTER = "topology.istio.io/cluster"
THIS_CLUSTER = "Kubernetes"
_NEAR = {
    "zone": (NETWORK, *TOPOLOGY[:2]),
    "node": (NETWORK, *TOPOLOGY, HOSTNAME),
}
"""What a client shares with hosts that are near, by what a service asks for (``trafficDistribution``)."""
_PLACE_LABELS = ("topology.istio.io/locality", "istio-locality")

Place = tuple[str, str, str]
"""Region, zone, and part of the zone."""
Hosts = tuple[LocalityEndpoints, Sequence[Workload]]
"""The hosts of one locality, and the workloads that they are, in the same order."""


@dataclass(frozen=True, slots=True)
class Client:
    """Where a proxy is, and its labels that rules of this world ask for; ``labelled``: whether it has labels at all."""

    place: Place
    labels: tuple[tuple[str, str], ...] = ()
    labelled: bool = True


@dataclass(frozen=True, slots=True)
class Rule:
    """What is in force for a cluster. ``forced``: hosts have an order even where nobody finds out which are unhealthy."""

    setting: LocalityLbSetting | ZoneAwareLbSetting
    forced: bool = False


def rule(mesh: MeshConfig, balancer: LoadBalancer | None, service: Service) -> Rule | None:
    """Of the DestinationRule, else of the service, else of the mesh (Istio); ``None``: localities do not matter."""
    if balancer is not None and (balancer.zone_aware_lb_setting or balancer.locality_lb_setting) is not None:
        return _rule(balancer.locality_lb_setting, balancer.zone_aware_lb_setting)
    if service.near:
        return Rule(LocalityLbSetting(failover_priority=_NEAR[service.near]), forced=True)
    return _rule(mesh.locality_lb_setting, mesh.zone_aware_lb_setting)


def _rule(localities: LocalityLbSetting | None, zones: ZoneAwareLbSetting | None) -> Rule | None:
    if zones is not None:
        return Rule(zones, forced=zones.enabled is not False)
    return None if localities is None or localities.enabled is False else Rule(localities)


def client(world: World, proxy: Proxy, labels: Mapping[str, str], workload: Workload | None) -> Client | None:
    """The client that a proxy is to rules about localities; ``None`` where no service's hosts depend on that."""
    asked = _asked(world)
    if asked is None:
        return None
    place = _told(labels) or (_split(workload.locality) if workload is not None and workload.locality else None)
    at = place or _split(proxy.locality)
    known = labels_at(labels, at, proxy.node, proxy.cluster, proxy.network)
    return Client(at, tuple((name, known[name]) for name in sorted(asked) if name in known), bool(known))


def labels_at(labels: Mapping[str, str], place: Place, node: str, cluster: str, network: str) -> Mapping[str, str]:
    """Labels with those that say where their bearer is; one that names its network itself knows better."""
    told = {**dict(zip(TOPOLOGY, place, strict=True)), HOSTNAME: node, CLUSTER: cluster}
    found = {**labels, **{name: value for name, value in told.items() if value}}
    return {**found, NETWORK: network} if network and not found.get(NETWORK) else found


def _told(labels: Mapping[str, str]) -> Place | None:
    """Where labels say that their bearer is."""
    if any(name in labels for name in TOPOLOGY):
        region, zone, sub_zone = (labels.get(name, "") for name in TOPOLOGY)
        return region, zone, sub_zone
    named = next((labels[name] for name in _PLACE_LABELS if labels.get(name)), "")
    return _split(named) if named else None


def _split(locality: str) -> Place:
    region, zone, sub_zone = [*locality.split("/"), "", "", ""][:3]
    return region, zone, sub_zone


def _asked(world: World) -> frozenset[str] | None:
    """Names of labels that rules of a world ask for; ``None`` where not even the place of a client matters."""

    def made() -> tuple[frozenset[str] | None]:
        settings = list(_settings(world))
        near = {service.near for service in (*world.services, *world.rivals) if service.near}
        default = world.mesh.default_traffic_policy
        watched = default is not None and default.outlier_detection is not None
        if not (settings or near or watched or any(map(_watches, _policies(world)))):
            return (None,)
        mesh = (world.mesh.locality_lb_setting, world.mesh.zone_aware_lb_setting)
        keyed = {key for s in (*settings, *mesh) if s is not None for key in s.failover_priority or ()}
        return (frozenset(key.split("=")[0] for key in (*keyed, *(key for name in near for key in _NEAR[name]))),)

    return world.once("labels that localities ask for", made)[0]


def _settings(world: World) -> Iterable[LocalityLbSetting | ZoneAwareLbSetting]:
    """Those that decide something even where no host is watched."""
    mesh = world.mesh
    if mesh.zone_aware_lb_setting is not None:
        yield mesh.zone_aware_lb_setting
    if mesh.locality_lb_setting is not None and mesh.locality_lb_setting.distribute:
        yield mesh.locality_lb_setting
    for policy in _policies(world):
        yield from _of_policy(policy)


def _of_policy(policy: TrafficPolicy) -> Iterable[LocalityLbSetting | ZoneAwareLbSetting]:
    for item in _parts(policy):
        found = item.load_balancer
        setting = None if found is None else found.zone_aware_lb_setting or found.locality_lb_setting
        if setting is not None:
            yield setting


def _policies(world: World) -> Iterable[TrafficPolicy]:
    return (policy for rule in world.destination_rules for policy in rule.spec.traffic_policies())


def _parts(policy: TrafficPolicy) -> Iterable[TrafficPolicy | PortTrafficPolicy]:
    yield policy
    yield from policy.port_level_settings or ()


def _watches(policy: TrafficPolicy) -> bool:
    return any(item.outlier_detection is not None for item in _parts(policy))


def looks(world: World, service: Service, rules: Iterable[DestinationRule]) -> bool:
    """Whether the hosts of a service may depend on the client's locality."""
    mesh = world.mesh
    default = mesh.default_traffic_policy
    general = mesh.zone_aware_lb_setting, mesh.locality_lb_setting and mesh.locality_lb_setting.distribute
    if service.near or any(general) or (default is not None and default.outlier_detection is not None):
        return True
    policies = [policy for rule in rules for policy in rule.spec.traffic_policies()]
    return any(map(_watches, policies)) or any(True for policy in policies for _ in _of_policy(policy))


def arranged(
    found: Rule | None, hosts: Sequence[Hosts], client: Client | None, *, watched: bool
) -> tuple[LocalityEndpoints, ...]:
    """The hosts with priorities and weights. ``watched``: unhealthy hosts are found out, so that others can take over."""
    plain = tuple(locality for locality, _ in hosts)
    if found is None or client is None:
        return plain
    setting = found.setting
    if isinstance(setting, LocalityLbSetting) and setting.distribute:
        return _weighted(plain, client.place, setting.distribute)
    if not found.forced and (not watched or isinstance(setting, ZoneAwareLbSetting)):
        return plain
    keys = setting.failover_priority or ()
    if keys and client.labelled:
        plain = _compact(part for item in hosts for part in _by_labels(item, client, keys))
    if isinstance(setting, ZoneAwareLbSetting):
        return _by_place(plain, 3, lambda locality: _region_rank(client.place, locality, setting.failover or ()))
    if keys and not setting.failover:
        return plain
    return _by_place(plain, 5, lambda locality: _place_rank(client.place, locality, setting.failover or ()))


def _weighted(
    hosts: tuple[LocalityEndpoints, ...], place: Place, shares: Sequence[LocalityDistribute]
) -> tuple[LocalityEndpoints, ...]:
    """The shares of the client's locality, each divided as the weights of what it matches are; what no share is for gets
    nothing."""
    own = next((item for item in shares if _matches(place, item.from_ or "")), None)
    if own is None:
        return hosts
    made = [replace(locality, endpoints=()) for locality in hosts]
    for wanted, share in (own.to or {}).items():
        matched = [number for number, locality in enumerate(hosts) if _matches(_place(locality), wanted)]
        total = sum(_weight(hosts[number]) for number in matched)
        for number in matched:
            made[number] = replace(hosts[number], weight=math.ceil(_weight(hosts[number]) * share / total))
    return tuple(made)


def _weight(locality: LocalityEndpoints) -> int:
    return 1 if locality.weight is None else locality.weight


def _matches(place: Place, wanted: str) -> bool:
    region, zone, sub_zone = _split(wanted)
    return region in ("*", place[0]) and (zone in ("*", "") or zone == place[1]) and (sub_zone in ("*", "", place[2]))


def _place(locality: LocalityEndpoints) -> Place:
    return locality.region, locality.zone, locality.sub_zone


def _place_rank(place: Place, locality: LocalityEndpoints, failover: Iterable[LocalityFailover]) -> int:
    """0 for the client's own place, 3 for another region; 4 where a rule names yet another one to go to."""
    at = _place(locality)
    for number, size in enumerate((3, 2, 1)):
        if at[:size] == place[:size]:
            return number
    named = next((item for item in failover if (item.from_ or "") == place[0]), None)
    return 3 if named is None or at[0] == (named.to or "") else 4


def _region_rank(place: Place, locality: LocalityEndpoints, failover: Iterable[LocalityFailover]) -> int:
    if locality.region == place[0]:
        return 0
    named = next((item for item in failover if (item.from_ or "") == place[0]), None)
    return 1 if named is not None and locality.region == (named.to or "") else 2


def _by_place(
    hosts: Iterable[LocalityEndpoints], ranks: int, rank: Callable[[LocalityEndpoints], int]
) -> tuple[LocalityEndpoints, ...]:
    """By rank within the priority that they have; there are ``ranks`` of them."""
    return _compact(replace(locality, priority=locality.priority * ranks + rank(locality)) for locality in hosts)


def _compact(hosts: Iterable[LocalityEndpoints]) -> tuple[LocalityEndpoints, ...]:
    """With priorities that leave none out, as Envoy wants them."""
    found = tuple(hosts)
    place = {priority: number for number, priority in enumerate(sorted({locality.priority for locality in found}))}
    return tuple(replace(locality, priority=place[locality.priority]) for locality in found)


def _by_labels(hosts: Hosts, client: Client, keys: Sequence[str]) -> Iterable[LocalityEndpoints]:
    """A locality in parts, by how many labels the hosts share with the client, most first."""
    locality, workloads = hosts
    parts: dict[int, list[int]] = {}
    for number, workload in enumerate(workloads):
        parts.setdefault(_label_rank(workload, client, keys), []).append(number)
    for priority in sorted(parts):
        kept = tuple(locality.endpoints[number] for number in parts[priority])
        yield replace(locality, endpoints=kept, priority=priority, weight=sum(host.weight for host in kept))


def _label_rank(workload: Workload, client: Client, keys: Sequence[str]) -> int:
    """0 if all are shared; else the more, the earlier the first one stands that is not. Another network, if asked for first,
    only puts behind all of one's own."""
    own = labels_at(workload.labels, _split(workload.locality), workload.node, THIS_CLUSTER, workload.network)
    known, fixed = dict(client.labels), dict(key.split("=") for key in keys if key.count("=") == 1)
    behind = 0
    for number, key in enumerate(keys):
        name = key.split("=")[0]
        if fixed.get(name, known.get(name, "")) == own.get(name, ""):
            continue
        if number == 0 and key == NETWORK:
            behind = len(keys)
            continue
        return behind + len(keys) - number
    return behind

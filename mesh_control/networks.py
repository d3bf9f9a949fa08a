"""Networks of a mesh whose workloads cannot all reach each other: which one a workload is in, and by which gateways others
get there (Istio's ``NetworkManager``, ``kube/controller/network.go``). Pure.

What is found: the addresses of MeshNetworks, those of Services with the label ``topology.istio.io/network`` or that
MeshNetworks name, and those of labelled Gateways of the Gateway API.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

from mesh_control.gateway_api.certificates import is_automatic
from mesh_control.services import Origin, Service, Workload
from mesh_policy import Policy
from mesh_policy.gateway_api.gateway import Gateway
from mesh_policy.hosts import is_address
from mesh_policy.mesh_config import MeshNetworks
from mesh_policy.mesh_config.networks import Network

LABEL: Final = "topology.istio.io/network"
"""Label that says which network a workload is in, a cluster (at the mesh's own namespace), or what a gateway leads to."""
PORT_LABEL: Final = "networking.istio.io/gatewayPort"
CLUSTER: Final = "Kubernetes"
"""The cluster that everything is known from."""
PORT, HBONE_PORT = 15443, 15008
"""Where gateways take the mesh's TLS, and tunnels, which sidecars do not use."""


@dataclass(frozen=True, slots=True, order=True)
class NetworkGateway:
    """Where traffic from other networks comes in. ``cluster`` is empty for one that only MeshNetworks tell of; ``port`` 0 for
    one that takes tunnels alone."""

    address: str
    port: int
    network: str
    cluster: str = ""


class Networks:
    """Gateways by the network that they lead to; only those that are addresses, as hosts of clusters have to be."""

    def __init__(self, gateways: Iterable[NetworkGateway]) -> None:
        known = sorted({gateway for gateway in gateways if is_address(gateway.address)})
        self._all = tuple(known)
        by_network = Counter(gateway.network for gateway in known)
        by_cluster = Counter((gateway.network, gateway.cluster) for gateway in known)
        self.scale = math.lcm(*by_network.values(), *by_cluster.values())
        """By this weights of hosts are multiplied, so that each gateway gets a whole share of any."""

    def __bool__(self) -> bool:
        """Whether there are several networks at all."""
        return bool(self._all)

    def to(self, network: str) -> list[NetworkGateway]:
        """The gateways of a network: those of the cluster itself, else all."""
        found = [gateway for gateway in self._all if gateway.network == network]
        return [gateway for gateway in found if gateway.cluster == CLUSTER] or found


def gateways(
    networks: MeshNetworks, services: Iterable[Service], policies: Iterable[Policy]
) -> tuple[NetworkGateway, ...]:
    """Every gateway between networks, by address."""
    found = {*_written(networks), *_of_services(networks, services)}
    for policy in policies:
        if isinstance(policy, Gateway):
            found |= set(_of_gateway(policy))
    return tuple(sorted(found))


def _written(networks: MeshNetworks) -> Iterator[NetworkGateway]:
    for name, network in networks.networks.items():
        for gateway in network.gateways:
            if gateway.address:
                yield NetworkGateway(gateway.address, gateway.port, name)


def _of_services(networks: MeshNetworks, services: Iterable[Service]) -> Iterator[NetworkGateway]:
    named = dict(_by_service(networks))
    for service in services:
        for address in service.outside:
            if service.network:
                numbers = [port.number for port in service.ports]
                if service.network_port in numbers or HBONE_PORT in numbers:
                    port = service.network_port if service.network_port in numbers else 0
                    yield NetworkGateway(address, port, service.network, CLUSTER)
                continue
            for network, port in named.get(service.hostname, ()):
                yield NetworkGateway(address, port, network, CLUSTER)


def _by_service(networks: MeshNetworks) -> Iterator[tuple[str, list[tuple[str, int]]]]:
    """Host name of a service to the networks that it leads to, and by which port; of networks that have this cluster."""
    found: dict[str, list[tuple[str, int]]] = {}
    for name, network in networks.networks.items():
        for gateway in network.gateways if _has_cluster(network) else ():
            if gateway.registry_service_name:
                found.setdefault(gateway.registry_service_name, []).append((name, gateway.port))
    yield from found.items()


def _of_gateway(gateway: Gateway) -> Iterator[NetworkGateway]:
    network = (gateway.metadata.labels or {}).get(LABEL, "")
    doors = [listener for listener in gateway.spec.listeners or () if is_automatic(gateway, listener)]
    for address in gateway.spec.addresses or () if network else ():
        if address.type in ("IPAddress", "Hostname") and address.value:
            for listener in doors:
                yield NetworkGateway(address.value, listener.port, network, CLUSTER)


def _has_cluster(network: Network) -> bool:
    return any(endpoints.from_registry == CLUSTER for endpoints in network.endpoints)


class Places:
    """Which network a workload is in. ``cluster`` is that of the whole cluster, where its mesh's namespace has the label."""

    def __init__(self, networks: MeshNetworks, cluster: str) -> None:
        known = networks.networks.items()
        self._whole = cluster or next((name for name, network in known if _has_cluster(network)), "")
        self._ranges = tuple(_ranges(networks)) if not self._whole else ()

    def of(self, workload: Workload) -> str:
        """Its own label or field; of pods else the cluster's; empty: none is known."""
        if workload.network or workload.origin is Origin.ENTRY:
            return workload.network
        if self._whole or not self._ranges or not is_address(workload.address):
            return self._whole
        address = ip_address(workload.address)
        return next((name for network, name in self._ranges if address in network), "")


def _ranges(networks: MeshNetworks) -> list[tuple[IPv4Network | IPv6Network, str]]:
    """Addresses and the networks that they are of, the widest first (as istiod's tree has them)."""
    found = [
        (ip_network(endpoints.from_cidr, strict=False), name)
        for name, network in networks.networks.items()
        for endpoints in network.endpoints
        if endpoints.from_cidr
    ]
    return sorted(found, key=lambda item: item[0].prefixlen)


def internal_ranges(networks: MeshNetworks) -> tuple[str, ...]:
    """Addresses whose requests count as the mesh's own, sorted."""
    found = {network for network, _ in _ranges(networks)}
    return tuple(
        str(network) for network in sorted(found, key=lambda n: (n.version, int(n.network_address), n.prefixlen))
    )


def label_of(labels: Mapping[str, str]) -> tuple[str, int]:
    """The network that a Service leads to (empty: none), and the port by which."""
    said = labels.get(PORT_LABEL, "")
    return labels.get(LABEL, ""), int(said) if said.isdigit() else PORT


def in_network(own: str, other: str) -> bool:
    """Whether a proxy is in a network, as far as either is known."""
    return not own or not other or own == other


def reachable(found: Sequence[NetworkGateway], families: Sequence[int]) -> list[NetworkGateway]:
    """Those at addresses of a proxy's versions of IP; one of both reaches all."""
    if len(families) != 1:
        return list(found)
    return [g for g in found if is_address(g.address) and ip_address(g.address).version == families[0]]

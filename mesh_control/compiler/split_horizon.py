"""Hosts in other networks: the gateways to these stand for them (Istio's split horizon, ``xds/endpoints/ep_filters.go``)."""

from collections.abc import Sequence
from dataclasses import replace

from mesh_api.config import Endpoint, PipeAddress, SocketAddress
from mesh_api.config.clusters import UNLIMITED
from mesh_control import networks
from mesh_control.compiler.locality import Hosts
from mesh_control.compiler.scope import Scope
from mesh_control.networks import NetworkGateway, Networks
from mesh_control.services import Workload

MUTUAL = "istio"
"""``tls_mode`` of hosts that take the mesh's TLS, by whose server name a gateway knows where a connection goes."""


def is_seen(scope: Scope, workload: Workload) -> bool:
    """Whether a proxy wants to know of a host in its network."""
    asked = scope.proxy.network_view
    return not asked or workload.network in ("", *asked)


def through_gateways(scope: Scope, hosts: Sequence[Hosts]) -> list[Hosts]:
    """The hosts of each locality as the proxy reaches them."""
    known = scope.world.gateways_between
    if scope.network is None or not known:
        return list(hosts)
    return [_reached(scope, known, item) for item in hosts]


def _reached(scope: Scope, known: Networks, item: Hosts) -> Hosts:
    """A locality of which nobody is reached stays, without hosts (Istio)."""
    locality, workloads = item
    near: list[tuple[Endpoint, Workload]] = []
    shares: dict[NetworkGateway, int] = {}
    for host, workload in zip(locality.endpoints, workloads, strict=True):
        weight = host.weight * known.scale if host.weight < UNLIMITED // known.scale else UNLIMITED
        found = [g for g in known.to(workload.network) if g.port or scope.proxy.is_gateway]
        if _is_near(scope, workload.network, found):
            if workload.address:
                near.append((replace(host, weight=weight), workload))
        elif (
            host.tls_mode == MUTUAL
            and not scope.proxy.plain
            and (doors := networks.reachable(found, scope.proxy.families))
        ):
            for gateway in doors:
                shares[gateway] = shares.get(gateway, 0) + weight // len(doors)
    near += [_gateway(gateway, share) for gateway, share in sorted(shares.items())]
    kept = tuple(host for host, _ in near)
    total = sum(host.weight for host in kept) if kept else None
    return replace(locality, endpoints=kept, weight=total), [workload for _, workload in near]


def _is_near(scope: Scope, network: str, gateways: Sequence[NetworkGateway]) -> bool:
    """Whether a proxy reaches a network's hosts itself: its own network's, and where no gateway leads. One that does not say
    where it is goes by gateways."""
    own = scope.own_network
    if not own and network and gateways:
        return False
    return networks.in_network(own, network) or not gateways


def _gateway(gateway: NetworkGateway, share: int) -> tuple[Endpoint, Workload]:
    stands_for = Workload("", "", gateway.address, {networks.LABEL: gateway.network}, network=gateway.network)
    metadata = (("workload", f";;;;{gateway.cluster}"),)
    # istiod takes an address without a port for a socket's path.
    address = SocketAddress(gateway.address, gateway.port) if gateway.port else PipeAddress(gateway.address)
    return Endpoint(address, weight=share or 1, tls_mode=MUTUAL, metadata=metadata), stands_for

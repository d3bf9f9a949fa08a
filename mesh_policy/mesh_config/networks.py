"""MeshNetworks: the networks of a mesh whose workloads cannot all reach each other (``mesh/v1alpha1/network.proto``)."""

from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from mesh_policy.hosts import FqdnOrAddress, PlainHost, Subnet, is_label
from mesh_policy.mesh_config.values import Port, Settings


def _registry(value: str) -> str:
    if not is_label(value):
        raise ValueError(f"{value!r} is no name of a registry; allowed are letters, digits and dashes between them")
    return value


class NetworkEndpoints(Settings):
    """Endpoints of a network: those of addresses, or of a registry."""

    REQUIRED_CHOICES: ClassVar[tuple[tuple[str, ...], ...]] = (("from_cidr", "from_registry"),)

    from_cidr: Subnet | None = None
    """Their addresses, such as ``192.168.0.0/16``; no two networks share one."""
    from_registry: Annotated[str, AfterValidator(_registry)] | None = None
    """Name of the cluster that they are known from."""


class NetworkGateway(Settings):
    """Where traffic from other networks comes in, by mTLS."""

    REQUIRED_CHOICES: ClassVar[tuple[tuple[str, ...], ...]] = (("registry_service_name", "address"),)

    registry_service_name: PlainHost | None = None
    """Full name of the gateway's service."""
    address: FqdnOrAddress | None = None
    """Its IP address, or its name in DNS."""
    port: Port
    """Its port."""
    locality: str = ""
    """Where it is: ``REGION/ZONE/SUBZONE``."""


class Network(Settings):
    """A network: all of its endpoints reach each other."""

    endpoints: tuple[NetworkEndpoints, ...] = ()
    """Its endpoints."""
    gateways: tuple[NetworkGateway, ...] = ()
    """Its gateways."""


class MeshNetworks(Settings):
    """The networks of a mesh. Endpoints of another network are reached by that one's gateways."""

    networks: dict[str, Network] = Field(default_factory=dict)
    """The networks by their names."""

"""Gateways of the Gateway API: each listener becomes a Gateway of Istio's with one server."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mesh_control.gateway_api.certificates import CertificateError, server_tls
from mesh_control.gateway_api.converted import CLASSES, SUFFIX, ListenerGateway, Surroundings, metadata
from mesh_policy.gateway_api.attachment import NAME_LABEL
from mesh_policy.gateway_api.gateway import Gateway
from mesh_policy.gateway_api.gateway_class import GatewayClass
from mesh_policy.gateway_api.listeners import Listener
from mesh_policy.gateway_api.reference_grant import ReferenceGrant
from mesh_policy.hosts import CLUSTER_DOMAIN
from mesh_policy.networking.gateway import GatewaySpec, Server, ServerPort

NAME_OVERRIDE = "gateway.istio.io/name-override"
"""Annotation of a Gateway: how its Service is called instead of ``GATEWAY-CLASS``."""
NOBODY = "~"
"""The namespace that a server is for when no namespace is allowed: it is there, and nothing attaches."""
HTTP_LIKE, BYTES = ("HTTP", "HTTPS", "TLS"), ("TCP", "UDP")


@dataclass(frozen=True, slots=True)
class OpenListener:
    """A listener to which routes can attach, and the Gateway of Istio's that it is. ``valid``: it is opened, too."""

    gateway: Gateway
    listener: Listener
    made: ListenerGateway
    valid: bool

    @property
    def name(self) -> str:
        """By which VirtualServices are bound to it."""
        return f"{self.made.metadata.namespace}/{self.made.metadata.name}"

    @property
    def hosts(self) -> tuple[str, ...]:
        """``NAMESPACE/HOST`` for every namespace whose routes are allowed."""
        return self.made.spec.servers[0].hosts

    @property
    def hostname(self) -> str:
        """The host that it is for; empty for all."""
        return self.listener.hostname or ""


def opened(gateways: Sequence[Gateway], grants: Sequence[ReferenceGrant], around: Surroundings) -> list[OpenListener]:
    """The listeners of Gateways of this mesh."""
    return [found for gateway in gateways for found in _of_gateway(gateway, grants, around)]


def our_classes(classes: Sequence[GatewayClass], around: Surroundings) -> frozenset[str]:
    """Names of the classes whose Gateways this mesh serves: those of a controller that it is (waypoints there are none)."""
    controllers = {name: controller for controller, name in CLASSES.items()}
    controllers |= {known.metadata.name: known.spec.controller_name for known in classes}
    return frozenset(name for name, controller in controllers.items() if controller in around.controllers)


def _of_gateway(gateway: Gateway, grants: Sequence[ReferenceGrant], around: Surroundings) -> Iterator[OpenListener]:
    services = services_of(gateway)
    if not services:
        return
    for listener in without_conflicts(gateway.spec.listeners):
        try:
            tls, valid = server_tls(gateway, listener, grants, around), listener.protocol in (*HTTP_LIKE, "TCP")
        except CertificateError:
            tls, valid = None, False
        if valid and tls is None and listener.protocol in ("HTTPS", "TLS"):
            continue
        server = Server.model_construct(
            port=ServerPort.model_construct(name="default", number=listener.port, protocol=listener.protocol),
            hosts=_hosts(gateway, listener, around),
            tls=tls,
        )
        made = ListenerGateway.model_construct(
            metadata=metadata(f"{gateway.metadata.name}~{SUFFIX}~{listener.name}", gateway.metadata),
            spec=GatewaySpec.model_construct(servers=(server,)),
            services=services,
            managed=is_managed(gateway),
        )
        yield OpenListener(gateway, listener, made, valid)


def is_managed(gateway: Gateway) -> bool:
    """Whether proxies and a Service are to be made for it; with a host name as address, they are there (Istio)."""
    addresses = gateway.spec.addresses or ()
    return not addresses or (len(addresses) == 1 and addresses[0].kind_of_address == "IPAddress")


def services_of(gateway: Gateway) -> tuple[str, ...]:
    """Host names of the services in front of its proxies."""
    own = gateway.metadata
    if is_managed(gateway):
        override = (own.annotations or {}).get(NAME_OVERRIDE, "")
        name = override or f"{own.name}-{gateway.spec.gateway_class_name}"
        return (f"{name}.{own.namespace}.{CLUSTER_DOMAIN}",)
    named = [item.value or "" for item in gateway.spec.addresses or () if item.type in (None, "Hostname")]
    return tuple(name if "." in name else f"{name}.{own.namespace}.{CLUSTER_DOMAIN}" for name in named)


def without_conflicts(listeners: Sequence[Listener]) -> list[Listener]:
    """Of two that cannot be told apart the first one is opened."""
    kept: list[Listener] = []
    for listener in listeners:
        if all(_distinct(listener, other) for other in kept):
            kept.append(listener)
    return kept


def _distinct(one: Listener, other: Listener) -> bool:
    if one.port != other.port:
        return True
    if one.protocol in HTTP_LIKE and other.protocol in HTTP_LIKE:
        return (one.hostname or "*") != (other.hostname or "*")
    known = (*HTTP_LIKE, *BYTES)
    return not (one.protocol in known and other.protocol in known) and one.protocol != other.protocol


def _hosts(gateway: Gateway, listener: Listener, around: Surroundings) -> tuple[str, ...]:
    host = listener.hostname or "*"
    return tuple(f"{namespace}/{host}" for namespace in _namespaces(gateway, listener, around)) or (f"{NOBODY}/{host}",)


def _namespaces(gateway: Gateway, listener: Listener, around: Surroundings) -> list[str]:
    """Of the routes that may attach: ``*`` for all."""
    allowed = listener.allowed_routes and listener.allowed_routes.namespaces
    if not allowed or allowed.from_ in (None, "Same"):
        return [gateway.metadata.namespace]
    if allowed.from_ == "All" or allowed.selector is None:
        return ["*"]
    known = around.namespaces.items()
    return sorted(name for name, labels in known if allowed.selector.holds({**labels, NAME_LABEL: name}))

"""Gateway: ports that proxies at the edge of the mesh open, and for which hosts."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from mesh_policy.base import Labels, Model, Policy
from mesh_policy.hosts import check_address, check_host, check_unix_path, is_address, is_label, is_partial_wildcard
from mesh_policy.networking.ports import HTTP_PROTOCOLS, TLS_PROTOCOLS, NoPort, PortOrZero, Protocol
from mesh_policy.networking.server_tls import PASSED_THROUGH, ServerTls
from mesh_policy.networking.workload_entry import UNIX


class ServerPort(Model):
    """A port; its protocol says what is spoken on it."""

    number: PortOrZero
    """Number of the port; 0 with ``bind`` to a Unix socket."""
    protocol: Protocol
    """What is spoken."""
    name: Annotated[str, Field(min_length=1)]
    """Name of the port, once in a gateway."""
    target_port: NoPort | None = None
    """Has no meaning at gateways: 0 or unset."""


def _bind(value: str) -> str:
    if value.startswith(UNIX):
        check_unix_path(value.removeprefix(UNIX))
    elif value:
        check_address(value)
    return value


def check_dotted_host(host: str) -> str:
    """A host as gateways and sidecars name it: ``*``, ``*.suffix``, or a name with a dot. Raises :class:`ValueError`."""
    if host != "*" and "." not in host:
        raise ValueError(f"host {host!r} is a short name; write it in full, or `*`")
    if is_partial_wildcard(host):
        raise ValueError(f"host {host!r}: a wildcard is `*` or stands before a dot, as in *.example.com")
    return check_host(host)


def _served(value: str) -> str:
    namespace, slash, host = value.partition("/")
    if not slash:
        namespace, host = "*", value
    if namespace not in ("*", ".") and not is_label(namespace):
        raise ValueError(f"{value!r}: {namespace!r} is neither a namespace nor `*` (all) or `.` (this one)")
    if not (is_address(host) and "." in host):
        check_dotted_host(host)
    return value


class Server(Model):
    """One port of the gateway and the hosts served there (``NAMESPACE/HOST`` restricts the namespace)."""

    port: ServerPort
    """Port that is opened."""
    hosts: Annotated[tuple[Annotated[str, AfterValidator(_served)], ...], Field(min_length=1)]
    """Hosts that VirtualServices can bind here; ``NAMESPACE/HOST`` says whose, ``./HOST`` this namespace's."""
    bind: Annotated[str, AfterValidator(_bind)] | None = None
    """IP address or ``unix:///PATH`` to listen on; default every address."""
    tls: ServerTls | None = None
    """TLS; required for HTTPS and TLS."""
    default_endpoint: str | None = None
    """Not read by Istio any more."""
    name: str | None = None
    """Name of the server, for people."""

    @model_validator(mode="after")
    def _bound(self) -> Self:
        socket = (self.bind or "").startswith(UNIX)
        if socket and self.port.number:
            raise ValueError(f"port.number is 0 for a Unix socket, not {self.port.number}")
        if not socket and not self.port.number:
            raise ValueError("port.number must be greater than or equal to 1")
        return self

    @model_validator(mode="after")
    def _tls_fits(self) -> Self:
        protocol, number = self.port.protocol.upper(), self.port.number
        if protocol in TLS_PROTOCOLS:
            if self.tls is None:
                raise ValueError(f"port {number} is {self.port.protocol} and needs tls, with a mode")
        elif self.tls is not None and protocol not in HTTP_PROTOCOLS:
            raise ValueError(f"port {number} is {self.port.protocol}; tls goes with HTTPS or TLS")
        elif self.tls is not None and (self.tls.mode not in PASSED_THROUGH or self.tls.has_files):
            raise ValueError(f"port {number} is {self.port.protocol}; tls.mode goes with HTTPS or TLS")
        return self


class GatewaySpec(Model):
    """Servers of the proxies that carry the labels of ``selector``."""

    selector: Labels | None = None
    """Labels of the gateway's pods, in every namespace; none: every proxy."""
    servers: Annotated[tuple[Server, ...], Field(min_length=1)]
    """Ports, and what is served on each."""

    @model_validator(mode="after")
    def _unique(self) -> Self:
        names = [server.port.name for server in self.servers]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"servers: the port name {name!r} stands twice")
        return self


class Gateway(Policy):
    """See :class:`GatewaySpec`."""

    KIND: ClassVar[str] = "Gateway"
    kind: Literal["Gateway"] = "Gateway"
    spec: GatewaySpec

    @model_validator(mode="after")
    def _named(self) -> Self:
        if not is_label(self.metadata.name):
            raise ValueError(
                f"metadata.name {self.metadata.name!r}: a gateway's name has no dots and at most 63 letters"
            )
        return self

"""Sidecar: what the proxies of a namespace or of some workloads see of the mesh, and how they are reached."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from mesh_policy.base import Model, Policy
from mesh_policy.hosts import check_address, check_unix_path, is_label
from mesh_policy.networking.connection_pool import ConnectionPool
from mesh_policy.networking.destinations import Destination
from mesh_policy.networking.gateway import check_dotted_host
from mesh_policy.networking.ports import TLS_PROTOCOLS, NoPort, PortOrZero, SniffedProtocol
from mesh_policy.networking.selectors import WorkloadSelector
from mesh_policy.networking.server_tls import ServerTls
from mesh_policy.networking.workload_entry import UNIX

CaptureMode = Literal["DEFAULT", "IPTABLES", "NONE"]
_OWN = ("", "127.0.0.1", "0.0.0.0", "::1", "::")  # noqa: S104  # hosts of endpoints, nothing listens here


def _port_name_or_unset(value: str) -> str:
    if value and not is_label(value):
        raise ValueError(f"{value!r} is no name of a port; allowed are letters, digits and dashes between them")
    return value


class SidecarPort(Model):
    """A port of a listener."""

    number: PortOrZero | None = None
    """Number of the port; 0 or unset with ``bind`` to a Unix socket (egress alone)."""
    protocol: SniffedProtocol | None = None
    """What is spoken; unset means that the proxy finds out."""
    name: Annotated[str, AfterValidator(_port_name_or_unset)] | None = None
    """Name of the port."""
    target_port: NoPort | None = None
    """Has no meaning here: 0 or unset."""


def _endpoint(value: str) -> str:
    if not value:
        return value
    if value.startswith(UNIX):
        check_unix_path(value.removeprefix(UNIX))
        return value
    host, colon, port = value.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{value!r}: an IPv6 address stands in brackets, as in [::1]:8080")
    digits = port.removeprefix("+")
    if not colon or host not in _OWN or not (digits.isascii() and digits.isdecimal()) or not 1 <= int(digits) <= 65535:
        raise ValueError(f"{value!r}: write 127.0.0.1:PORT, 0.0.0.0:PORT, [::1]:PORT, [::]:PORT, :PORT or unix:///PATH")
    return value


class IngressListener(Model):
    """A port on which the proxy takes requests for the workload."""

    port: SidecarPort
    """Port that is opened."""
    bind: str | None = None
    """IP address to listen on; default the workload's own, and with ``captureMode`` NONE every one."""
    capture_mode: CaptureMode | None = None
    """How connections come to the proxy; default as the mesh says."""
    default_endpoint: Annotated[str, AfterValidator(_endpoint)] | None = None
    """Where the workload listens: ``127.0.0.1:PORT``, ``:PORT``, ``unix:///PATH``; default the same port."""
    tls: ServerTls | None = None
    """TLS that the proxy ends, for clients outside of the mesh; the certificate comes from files."""
    connection_pool: ConnectionPool | None = None
    """Limits towards the workload, in place of the Sidecar's."""

    @model_validator(mode="after")
    def _port(self) -> Self:
        if not self.port.number:
            raise ValueError("port.number is required, 1 to 65535")
        if self.bind:
            check_address(self.bind)
        return self

    @model_validator(mode="after")
    def _tls(self) -> Self:
        if self.tls is None:
            return self
        if (self.port.protocol or "").upper() not in TLS_PROTOCOLS:
            raise ValueError(f"tls goes with protocol HTTPS or TLS, not {self.port.protocol!r}")
        if self.tls.mode in ("ISTIO_MUTUAL", "AUTO_PASSTHROUGH"):
            raise ValueError(f"tls.mode {self.tls.mode} is for gateways; use SIMPLE or MUTUAL")
        refused = {
            "subjectAltNames": self.tls.subject_alt_names,
            "httpsRedirect": self.tls.https_redirect,
            "credentialName": self.tls.credential_name,
            "credentialNames": self.tls.credential_names,
            "tlsCertificates": self.tls.tls_certificates,
        }
        for name, value in refused.items():
            if value:
                raise ValueError(f"tls.{name} is for gateways; remove it")
        return self


def _exported(value: str) -> str:
    namespace, slash, host = value.partition("/")
    if not slash or not namespace or not host:
        raise ValueError(f"{value!r}: write NAMESPACE/HOST, ./HOST for this namespace, or */HOST for all")
    plain = namespace.removeprefix("~")
    if plain not in ("", "*", ".") and not is_label(plain):
        raise ValueError(f"{value!r}: {namespace!r} is neither a namespace nor `*` (all), `.` (this one) or `~` (none)")
    check_dotted_host(host)
    return value


class EgressListener(Model):
    """What the workload can reach, and on which port."""

    port: SidecarPort | None = None
    """Port on which the hosts are reached; unset means the ports of the services, in the last listener alone."""
    bind: str | None = None
    """IP address or ``unix:///PATH`` to listen on."""
    capture_mode: CaptureMode | None = None
    """How connections come to the proxy; default as the mesh says."""
    hosts: Annotated[tuple[Annotated[str, AfterValidator(_exported)], ...], Field(min_length=1)]
    """``NAMESPACE/HOST``; ``./*`` is this namespace, ``*/*`` everything, ``~/*`` nothing."""

    @model_validator(mode="after")
    def _bound(self) -> Self:
        if self.port is None:
            return self
        bind = self.bind or ""
        if self.port.number:
            if bind:
                check_address(bind)
            return self
        if not bind.startswith(UNIX):
            raise ValueError("port.number is required, 1 to 65535, or bind to unix:///PATH")
        check_unix_path(bind.removeprefix(UNIX))
        if self.capture_mode == "IPTABLES":
            raise ValueError("captureMode IPTABLES captures no Unix socket; use NONE")
        return self


class OutboundTrafficPolicy(Model):
    """What happens to requests for hosts that nobody declares."""

    mode: Literal["REGISTRY_ONLY", "ALLOW_ANY"] | None = None
    """REGISTRY_ONLY (default of this field) refuses them, ALLOW_ANY lets them out."""
    egress_proxy: Destination | None = None
    """Where they are sent, with ALLOW_ANY; its port is required."""

    @model_validator(mode="after")
    def _proxy(self) -> Self:
        if self.egress_proxy is None:
            return self
        if self.mode != "ALLOW_ANY":
            raise ValueError("egressProxy goes with mode ALLOW_ANY")
        if self.egress_proxy.host.startswith("*"):
            raise ValueError(f"egressProxy.host {self.egress_proxy.host!r}: a wildcard is not allowed here")
        if self.egress_proxy.port is None:
            raise ValueError("egressProxy.port is required")
        return self


class SidecarSpec(Model):
    """What the proxies see and how they are reached."""

    workload_selector: WorkloadSelector | None = None
    """Workloads that this is for; unset means all of the namespace (of the mesh, in the root namespace)."""
    ingress: tuple[IngressListener, ...] | None = None
    """Ports of the workload; unset means those of its services."""
    egress: tuple[EgressListener, ...] | None = None
    """What the workload can reach; unset means everything that is exported to its namespace."""
    inbound_connection_pool: ConnectionPool | None = None
    """Limits towards the workload."""
    outbound_traffic_policy: OutboundTrafficPolicy | None = None
    """What happens to requests for hosts that nobody declares; default as the mesh says."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not (self.ingress or self.egress or self.inbound_connection_pool or self.outbound_traffic_policy):
            raise ValueError("one of ingress, egress, inboundConnectionPool and outboundTrafficPolicy is required")
        problems = [*self._ingress_once(), *self._egress_once()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _ingress_once(self) -> Iterator[str]:
        numbers = [listener.port.number for listener in self.ingress or ()]
        yield from (
            f"ingress: port {n} stands twice" for n in sorted({n for n in numbers if n and numbers.count(n) > 1})
        )

    def _egress_once(self) -> Iterator[str]:
        listeners = self.egress or ()
        seen: set[str | int] = set()
        for place, listener in enumerate(listeners):
            if listener.port is None:
                if place < len(listeners) - 1:
                    yield f"egress: the listener without a port stands last, not in place {place}"
                continue
            where = listener.port.number or listener.bind or ""
            if where in seen:
                yield f"egress: {where} stands twice"
            seen.add(where)


class Sidecar(Policy):
    """See :class:`SidecarSpec`."""

    KIND: ClassVar[str] = "Sidecar"
    kind: Literal["Sidecar"] = "Sidecar"
    spec: SidecarSpec

"""A proxy as the compiler sees it: who it is and how traffic reaches it, read from its node."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mesh_api.config import SocketAddress
from mesh_api.node import Node, NodeKind
from mesh_control.proxy_settings import TraceNames, read_settings, trace_names
from mesh_policy import json_text
from mesh_policy.durations import parse_duration
from mesh_policy.hosts import is_address
from mesh_policy.mesh_config import ProxyConfig

OUTBOUND_PORT, INBOUND_PORT = 15001, 15006

OWN = ("meshwright",)
"""Software, by the beginning of its name, for which :attr:`Proxy.own` holds."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """One proxy.

    ``intercepted``: redirect rules bring the traffic to ``outbound_port`` and ``inbound_port``. Otherwise the proxy listens
    on loopback: ``egress_ports`` maps ``HOST:PORT`` of a service to the port where the application reaches it,
    ``ingress_ports`` the port where the proxy takes traffic to the application's own.
    """

    node_id: str
    kind: NodeKind
    name: str
    namespace: str
    address: str
    labels: Mapping[str, str] = field(default_factory=dict)
    intercepted: bool = True
    outbound_port: int = OUTBOUND_PORT
    inbound_port: int = INBOUND_PORT
    egress_ports: Mapping[str, int] = field(default_factory=dict)
    ingress_ports: Mapping[int, int] = field(default_factory=dict)
    node: str = ""
    addresses: tuple[str, ...] = ()
    """Every address of its own, the first one first; without any, only ``address`` is known."""
    certificate_files: tuple[str, str, str] = ("", "", "")
    """Paths of the certificate, key and authorities with which it serves the mesh, where they are mounted beside it
    (``TLS_SERVER_CERT_CHAIN``, ``TLS_SERVER_KEY``, ``TLS_SERVER_ROOT_CERT``) instead of its own."""
    client_files: tuple[str, str, str] = ("", "", "")
    """The same with which it goes to others in the mesh (``TLS_CLIENT_CERT_CHAIN``, ``TLS_CLIENT_KEY``,
    ``TLS_CLIENT_ROOT_CERT``)."""
    exact_balance: bool = False
    """Whether what comes in is shared out among Envoy's threads evenly (``INBOUND_LISTENER_EXACT_BALANCE``)."""
    exact_balance_outbound: bool = False
    """Whether what is sent is, and what gateways take (``OUTBOUND_LISTENER_EXACT_BALANCE``)."""
    transparent: bool = False
    """Whether what is intercepted keeps the address of its client (``INTERCEPTION_MODE`` is ``TPROXY``)."""
    unprivileged: bool = False
    """Whether it may not bind ports below 1024."""
    idle_timeout: float | None = None
    """Seconds after which a connection of bytes that nobody uses is closed, where no rule says."""
    reserved: tuple[int, ...] = ()
    """Ports on which the proxy itself answers on every address: of its status, of its metrics."""
    http_proxy_port: int | None = None
    """Port for applications that use it as their HTTP proxy; 0 for none, ``None``: as the mesh says."""
    settings: ProxyConfig | None = None
    """How it is run, where it says so itself (``PROXY_CONFIG``); ``None``: as the mesh says."""
    takes_http_10: bool = False
    """Whether it takes requests of HTTP/1.0 (``HTTP10`` is ``1``)."""
    trace_names: TraceNames = field(default_factory=TraceNames)
    locality: str = ""
    """Where it says that it is (``REGION/ZONE/SUBZONE``), which counts where nothing else is known."""
    pod_ports: Mapping[str, int] = field(default_factory=dict)
    """Ports of its pod's containers by their names (``POD_PORTS``)."""
    captures_dns: bool = False
    """Whether questions of the application for names come to the agent beside the proxy (``DNS_CAPTURE``)."""
    dns_server: SocketAddress | None = None
    """Where that agent answers them (``DNS_PROXY_ADDR``); ``None``: where it usually does."""
    network: str = ""
    """The network that it is in (``NETWORK``)."""
    network_view: tuple[str, ...] = ()
    """The networks whose hosts it asks for (``REQUESTED_NETWORK_VIEW``); without any, all."""
    cluster: str = ""
    """The cluster that it says it is in (``CLUSTER_ID``)."""
    own: bool = False
    """Whether it is one of ours: it makes Istio's metrics, and is not asked for what it does not do as yet."""
    plain: bool = False
    """Whether it has no certificate of the mesh, as one of our own says that was not told where to keep one: it can neither
    show who it is nor find out who others are."""

    @property
    def families(self) -> tuple[int, ...]:
        """Versions of IP of which it has addresses, 4 before 6."""
        known = {6 if ":" in address else 4 for address in self.addresses or (self.address,)}
        return tuple(sorted(known))

    @property
    def is_gateway(self) -> bool:
        """Whether it stands at the edge rather than beside a workload."""
        return self.kind is NodeKind.ROUTER


_FILES = "TLS_SERVER_CERT_CHAIN", "TLS_SERVER_KEY", "TLS_SERVER_ROOT_CERT"
_OWN_PORTS = (
    "ENVOY_STATUS_PORT",
    "ENVOY_PROMETHEUS_PORT",
    "ENVOY_SECURE_METRICS_PORT",
    "ENVOY_SECURE_MERGED_METRICS_PORT",
)
_CLIENT_FILES = "TLS_CLIENT_CERT_CHAIN", "TLS_CLIENT_KEY", "TLS_CLIENT_ROOT_CERT"


class ProxyError(ValueError):
    """A node that cannot be served; the message names the field of its metadata."""


def proxy_of(node: Node) -> Proxy:
    """The proxy that a node describes. Raises :class:`ProxyError`."""
    if not node.id.isprintable():  # it stands in logs, in tables and in the names of registrations
        raise ProxyError(
            f"node id {node.id!r}: has characters that cannot be shown; use letters, digits, '.', '-' and '~'"
        )
    try:
        identity = node.parsed_id()
    except ValueError as error:
        raise ProxyError(str(error)) from None
    metadata = node.metadata
    mode = str(metadata.get("INTERCEPTION_MODE", "REDIRECT"))
    if mode not in ("REDIRECT", "TPROXY", "NONE"):
        raise ProxyError(f"node metadata INTERCEPTION_MODE {mode!r}: allowed are REDIRECT and NONE")
    capture = _mapping(metadata, "CAPTURE_PORTS")
    return Proxy(
        node_id=node.id,
        kind=identity.kind,
        name=identity.name,
        namespace=identity.namespace,
        address=identity.address,
        labels={key: str(value) for key, value in sorted(_mapping(metadata, "LABELS").items())},
        intercepted=mode != "NONE",
        outbound_port=_port(capture, "CAPTURE_PORTS.outbound", "outbound", OUTBOUND_PORT),
        inbound_port=_port(capture, "CAPTURE_PORTS.inbound", "inbound", INBOUND_PORT),
        egress_ports={
            k: _number(v, f"EGRESS_PORTS.{k}") for k, v in sorted(_mapping(metadata, "EGRESS_PORTS").items())
        },
        ingress_ports={
            _number(key, "INGRESS_PORTS"): _number(value, f"INGRESS_PORTS.{key}")
            for key, value in sorted(_mapping(metadata, "INGRESS_PORTS").items())
        },
        node=str(metadata.get("NODE_NAME", "")),
        addresses=_addresses(metadata),
        certificate_files=tuple(str(metadata.get(name, "")) for name in _FILES),  # type: ignore[arg-type]
        client_files=tuple(str(metadata.get(name, "")) for name in _CLIENT_FILES),  # type: ignore[arg-type]
        exact_balance=_flag(metadata, "INBOUND_LISTENER_EXACT_BALANCE"),
        exact_balance_outbound=_flag(metadata, "OUTBOUND_LISTENER_EXACT_BALANCE"),
        transparent=mode == "TPROXY",
        unprivileged=_flag(metadata, "UNPRIVILEGED_POD"),
        idle_timeout=_duration(str(metadata.get("IDLE_TIMEOUT", ""))),
        reserved=tuple(port for name in _OWN_PORTS if (port := _port_or_none(metadata.get(name))) is not None),
        http_proxy_port=_port_or_none(metadata.get("HTTP_PROXY_PORT")),
        settings=_settings(metadata.get("PROXY_CONFIG")),
        takes_http_10=str(metadata.get("HTTP10", "")) == "1",
        trace_names=trace_names(node.cluster, metadata),
        locality="/".join((node.region, node.zone, node.sub_zone)).rstrip("/"),
        pod_ports=_pod_ports(metadata.get("POD_PORTS")),
        captures_dns=_flag(metadata, "DNS_CAPTURE"),
        dns_server=_socket(str(metadata.get("DNS_PROXY_ADDR", ""))),
        network=str(metadata.get("NETWORK", "")),
        network_view=_texts(metadata.get("REQUESTED_NETWORK_VIEW")),
        cluster=str(metadata.get("CLUSTER_ID", "")),
        own=node.user_agent.startswith(OWN),
        plain=node.user_agent.startswith(OWN) and not _flag(metadata, "HAS_IDENTITY"),
    )


def _settings(value: Any) -> ProxyConfig | None:
    try:
        return read_settings(value)
    except ValueError as error:
        raise ProxyError(f"node metadata PROXY_CONFIG: {error}") from None


def _addresses(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(address for address in _texts(metadata.get("INSTANCE_IPS")) if is_address(address))


def _texts(value: Any) -> tuple[str, ...]:
    """A list, or text with commas, as Istio's agent writes it."""
    found = value.split(",") if isinstance(value, str) else value or ()
    return tuple(text for item in found if (text := str(item).strip()))


def _duration(text: str) -> float | None:
    """Seconds; what cannot be read counts as not there (Istio)."""
    try:
        return parse_duration(text).total_seconds() if text else None
    except ValueError:
        return None


def _flag(metadata: Mapping[str, Any], name: str) -> bool:
    return str(metadata.get(name, "")).lower() in ("true", "1", "t")


def _pod_ports(value: Any) -> dict[str, int]:
    """JSON as Istio's injector writes it, a list of ports of containers; what cannot be read counts as not there."""
    try:
        listed = json_text.parse(value) if isinstance(value, str) else value or []
        return {str(port["name"]): int(port["containerPort"]) for port in listed if port.get("name")}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}


def _socket(text: str) -> SocketAddress | None:
    """``HOST:PORT``; what cannot be read counts as not there (Istio)."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        return None
    return SocketAddress("127.0.0.1" if host == "localhost" else host.strip("[]"), int(port))


def _port_or_none(value: Any) -> int | None:
    """A port in text or as a number; what cannot be read counts as not there (Istio)."""
    try:
        return None if value in (None, "") else int(float(value))
    except (TypeError, ValueError):
        return None


def _mapping(metadata: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = metadata.get(name, {})
    if not isinstance(value, Mapping):
        raise ProxyError(f"node metadata {name} must be a mapping, not {value!r}")
    return value


def _port(values: Mapping[str, Any], field_name: str, key: str, default: int) -> int:
    return _number(values[key], field_name) if key in values else default


def _number(value: Any, field_name: str) -> int:
    """A port; protobuf's Struct has no integers, so 15001.0 is one."""
    try:
        port = int(float(value))
    except (TypeError, ValueError):
        port = 0
    if not 1 <= port <= 65535:
        raise ProxyError(f"node metadata {field_name} must be a port from 1 to 65535, not {value!r}")
    return port

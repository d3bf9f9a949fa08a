"""The bootstrap: what a proxy knows before anybody tells it anything, in Envoy's own form.

The same file drives a real Envoy. What only Envoy needs is listed in :data:`IGNORED`; every other field that we do not
honour is an error. Our own settings stand under ``node.metadata.MESHWRIGHT``, which Envoy carries and does not read.
"""

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from mesh_api.config import Cluster, ClusterType, PipeAddress, ProxyConfig, Secret, SocketAddress
from mesh_api.config.proxy_config import secret_sources
from mesh_api.node import Node
from mesh_api.xds.errors import DecodeError
from mesh_api.xds.json import resource_from_json
from mesh_proxy.document import DocumentError, Section, load_document
from mesh_proxy.overload import Limits, connection_limits
from mesh_proxy.static_secrets import static_secrets

PORT: Final = (1, 65535)
EVERYWHERE: Final = "0.0.0.0"  # noqa: S104 - probes and scrapers come from other machines
LOG_LEVELS: Final = ("debug", "info", "warning", "error")

IGNORED: Final[dict[str, dict[str, str]]] = {
    "": {
        "stats_config": "names and tags of statistics are fixed",
        "stats_flush_interval": "statistics are pulled",
        "stats_sinks": "statistics are pulled",
        "watchdogs": "the supervisor watches the workers",
        "header_prefix": "headers have Envoy's default prefix",
        "default_regex_engine": "RE2 is the only engine",
        "inline_headers": "tuning of Envoy's header maps",
        "bootstrap_extensions": "extensions of Envoy's process",
        "fatal_actions": "extensions of Envoy's process",
        "default_socket_interface": "extensions of Envoy's process",
        "use_tcp_for_dns_lookups": "the system's resolver is used",
        "typed_dns_resolver_config": "the system's resolver is used",
        "enable_dispatcher_stats": "statistics only",
        "perf_tracing_file_path": "profiling only",
        "flags_path": "switches for Envoy's operator",
    },
    "cluster_manager": {
        "outlier_detection": "a log of ejections",
        "upstream_bind_config": "clusters say it",
        "load_stats_config": "no loads are reported",
        "enable_deferred_cluster_creation": "clusters that nobody uses cost next to nothing",
    },
    "node": {
        "user_agent_name": "the proxy names itself",
        "user_agent_version": "the proxy names itself",
        "user_agent_build_version": "the proxy names itself",
        "extensions": "the proxy names itself",
        "client_features": "the proxy names itself",
        "listening_addresses": "deprecated, informs only",
    },
    "admin": {
        "access_log": "the admin interface keeps no access log",
        "access_log_path": "the admin interface keeps no access log",
        "profile_path": "profiling only",
        "ignore_global_conn_limit": "there is no global limit",
    },
    "ads_config": {
        "set_node_on_first_message_only": "always so",
        "rate_limit_settings": "requests are few",
    },
    "grpc_service": {
        "timeout": "the stream lasts",
    },
    "envoy_grpc": {
        "retry_policy": "a lost stream is always made anew, with back-off",
        "max_receive_message_length": "there is no limit",
        "skip_envoy_headers": "no such headers are sent",
    },
    "google_grpc": {
        "stat_prefix": "statistics have fixed names",
    },
    "config_source": {
        "initial_fetch_timeout": "a configuration is applied when it is complete",
        "resource_api_version": "there is v3 only",
    },
}
"""Fields of Envoy's bootstrap that are left out on purpose, by message, with the reason."""


@dataclass(frozen=True, slots=True)
class ControlTls:
    """TLS to the control plane: files in PEM with the roots that it is known by, and with the proxy's own certificate and key
    where it shows one; ``server_name`` is what its certificate must be for."""

    roots: Path
    server_name: str
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """Where the proxy keeps a certificate of its own, which it gets and renews by itself: ``folder``. It joins with the token
    of ``token_file``, and knows the control plane by ``join_roots`` then."""

    folder: Path
    token_file: Path
    join_roots: Path
    server_name: str
    token_is_replaced: bool = False
    """Whether the token is replaced in its time by whoever gives it, as Kubernetes does: else a new one means to join
    anew."""

    @property
    def pair(self) -> Path:
        """The key and the certificates, the proxy's own first."""
        return self.folder / "identity.pem"

    @property
    def roots(self) -> Path:
        """Whom the proxy trusts, as it was told with its certificate."""
        return self.folder / "roots.pem"

    def shown(self) -> ControlTls:
        """TLS with the certificate."""
        return ControlTls(self.roots, self.server_name, self.pair, self.pair)

    def joining(self) -> ControlTls:
        """TLS without one."""
        return ControlTls(self.join_roots, self.server_name)


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """``node.metadata.MESHWRIGHT``. Seconds for ``drain_seconds``; a port or file that is ``None`` is not served or kept.

    ``monitoring_address`` is what the health and the statistics port bind to. With an ``identity``, ``control_tls`` shows its
    certificate, and ``token_file`` is for the authority alone.
    """

    concurrency: int
    state_dir: Path | None = None
    drain_seconds: float = 5.0
    ready_port: int | None = None
    stats_port: int | None = None
    merged_port: int | None = None
    """Where the application's metrics stand beside ours (Istio's agent: 15020)."""
    monitoring_address: str = EVERYWHERE
    token_file: Path | None = None
    control_tls: ControlTls | None = None
    identity: Identity | None = None
    log_level: str = "info"
    log_path: Path | None = None
    probes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The application's own probe by the path of the merged port below which a kubelet asks for it."""


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """Where the configuration comes from: a gRPC ``target``, its call's ``metadata``, seconds to connect; ``delta``: what
    changes is told, rather than the state of the world."""

    name: str
    target: str
    metadata: tuple[tuple[str, str], ...] = ()
    connect_timeout: float = 5.0
    delta: bool = False


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """Everything from the file. ``document`` is the file's content as it stands, for ``/config_dump``."""

    node: Node
    settings: ProxySettings
    admin: SocketAddress | None = None
    control_plane: ControlPlane | None = None
    static: ProxyConfig = field(default_factory=ProxyConfig)
    secrets: tuple[Secret, ...] = ()
    connection_limits: Limits = ()
    local_cluster: str = ""
    """The cluster that this proxy is one of, by which balancing by zones goes; empty: none."""
    document: Mapping[str, Any] = field(default_factory=dict)


def load_bootstrap(file: Path, cores: int | None = None) -> Bootstrap:
    """Reads and checks ``file``; ``cores`` is the default of ``concurrency`` (this process's own CPUs).

    Raises :class:`~mesh_proxy.document.DocumentError`, which names the file, the field and the reason.
    """
    return bootstrap_of(load_document(file), cores)


def bootstrap_of(root: Section, cores: int | None = None) -> Bootstrap:
    """As :func:`load_bootstrap`, of a document that was read."""
    root.ignore(IGNORED[""])
    limits, local_cluster = connection_limits(root), _local_cluster(root.section("cluster_manager"))
    node, settings = _node(root.section("node"), cores or len(os.sched_getaffinity(0)))
    admin = _admin(root.section("admin"))
    static, secrets = _static(root.section("static_resources"))
    control_plane = None
    dynamic = root.section("dynamic_resources")
    if dynamic is not None:
        control_plane, static = _dynamic(dynamic, static)
        if control_plane is not None and not node.id:
            raise root.error("is missing: the control plane has to know whom it talks to", "node", "id")
    root.close()
    missing = static.missing()
    if missing:
        raise root.error(f"refers to what is not there: {', '.join(missing)}", "static_resources")
    names = {secret.name for secret in secrets}
    unknown = [source.name for source in secret_sources(static) if source.static and source.name not in names]
    if unknown:
        raise root.error(f"has no secret {', '.join(unknown)}", "static_resources", "secrets")
    return Bootstrap(node, settings, admin, control_plane, static, secrets, limits, local_cluster, root.as_dict())


def _local_cluster(section: Section | None) -> str:
    if section is None:
        return ""
    section.ignore(IGNORED["cluster_manager"])
    name = section.text("local_cluster_name", "")
    section.close()
    return name


def _node(section: Section | None, cores: int) -> tuple[Node, ProxySettings]:
    if section is None:
        return Node(""), ProxySettings(cores)
    section.ignore(IGNORED["node"])
    locality = section.section("locality")
    places = {}
    if locality is not None:
        places = {name: locality.text(name, "") for name in ("region", "zone", "sub_zone")}
        locality.close()
    metadata = section.section("metadata")
    own = None if metadata is None else metadata.section("MESHWRIGHT")
    settings = ProxySettings(cores) if own is None else _settings(own, cores)
    # Our own settings hold paths of this machine and are no business of the control plane.
    sent = {} if metadata is None else {name: v for name, v in metadata.as_dict().items() if name != "MESHWRIGHT"}
    node = Node(section.text("id", ""), section.text("cluster", ""), sent, **places)
    section.close()
    return node, settings


def _settings(section: Section, cores: int) -> ProxySettings:
    state_dir, token_file, log_path = (_path(section, name) for name in ("state_dir", "token_file", "log_path"))
    tls = _control_tls(section)
    identity = _identity(section, tls, token_file)
    settings = ProxySettings(
        concurrency=section.integer("concurrency", 1, 256, cores),
        state_dir=state_dir,
        drain_seconds=section.number("drain_seconds", 0.0, 3600.0, 5.0),
        ready_port=_optional_port(section, "ready_port"),
        stats_port=_optional_port(section, "stats_port"),
        merged_port=_optional_port(section, "merged_port"),
        monitoring_address=section.text("monitoring_address", EVERYWHERE),
        token_file=None if identity is not None else token_file,
        control_tls=tls if identity is None else identity.shown(),
        identity=identity,
        log_level=section.text("log_level", "info", among=LOG_LEVELS),
        log_path=log_path,
        probes=_probes(section.section("probes")),
    )
    if _ip(settings.monitoring_address) is None:
        raise section.error(f"{settings.monitoring_address!r} is no IP address", "monitoring_address")
    section.close()
    return settings


def _control_tls(section: Section) -> ControlTls | None:
    names = ("control_root_file", "control_certificate_file", "control_key_file")
    roots, certificate, key = (_path(section, name) for name in names)
    server_name = section.text("control_server_name", "istiod.istio-system.svc")
    if (certificate is None) is not (key is None):
        missing = names[1] if certificate is None else names[2]
        raise section.error("is missing: a certificate and its key go together", missing)
    if roots is not None:
        return ControlTls(roots, server_name, certificate, key)
    if certificate is not None:
        raise section.error("is missing: by it the control plane is known", names[0])
    return None


def _identity(section: Section, tls: ControlTls | None, token_file: Path | None) -> Identity | None:
    folder = _path(section, "identity_dir")
    if folder is None:
        return None
    if tls is None:
        raise section.error("is missing: by it the control plane is known", "control_root_file")
    if tls.certificate is not None:
        raise section.error(
            "the proxy gets its certificate by itself where identity_dir is set", "control_certificate_file"
        )
    if token_file is None:
        raise section.error("is missing: with the token in it the proxy gets its first certificate", "token_file")
    return Identity(folder, token_file, tls.roots, tls.server_name, section.flag("token_is_replaced", default=False))


def _probes(section: Section | None) -> Mapping[str, Mapping[str, Any]]:
    if section is None:
        return {}
    return {path: section.required(path).as_dict() for path in section.names}


def _path(section: Section, name: str) -> Path | None:
    text = section.text(name, "")
    if not text:
        return None
    if not text.startswith("/"):
        raise section.error(f"{text!r} is not an absolute path", name)
    return Path(text)


def _optional_port(section: Section, name: str) -> int | None:
    return section.integer(name, *PORT) if name in section else None


def _admin(section: Section | None) -> SocketAddress | None:
    if section is None:
        return None
    section.ignore(IGNORED["admin"])
    address = section.required("address")
    where = address.required("socket_address")
    where.only("protocol", "TCP")
    found = SocketAddress(where.text("address"), where.integer("port_value", *PORT))
    ip = _ip(found.address)
    if ip is None or not ip.is_loopback:
        raise where.error(
            f"{found.address!r} is no loopback address, and whoever reaches the admin interface rules", "address"
        )
    for done in (where, address, section):
        done.close()
    return found


def _static(section: Section | None) -> tuple[ProxyConfig, tuple[Secret, ...]]:
    if section is None:
        return ProxyConfig(), ()
    listeners = _resources(section, "listeners")
    clusters = _resources(section, "clusters")
    secrets = static_secrets(section)
    section.close()
    return ProxyConfig(listeners=tuple(listeners), clusters=tuple(clusters)), secrets


def _resources(section: Section, kind: str) -> list[Any]:
    """Static listeners or clusters, sorted by name."""
    found: dict[str, Any] = {}
    for place, item in enumerate(section.sections(kind)):
        try:
            resource: Any = resource_from_json(kind, item.as_dict())
        except DecodeError as error:
            raise item.error(str(error)) from None
        # Envoy gives a listener without a name a random one; here the place is its name.
        name = resource.name or f"{kind}[{place}]"
        if name in found:
            raise item.error(f"the name {name!r} is taken by another of the {kind}", "name")
        found[name] = replace(resource, name=name)
    return [found[name] for name in sorted(found)]


def _dynamic(section: Section, static: ProxyConfig) -> tuple[ControlPlane | None, ProxyConfig]:
    ads = section.section("ads_config")
    for name in ("cds_config", "lds_config"):
        source = section.section(name)
        if source is None and ads is not None:
            raise section.error("is missing: both come with ads_config, as `{ads: {}}`", name)
        if source is not None:
            _ads_source(source)
            if ads is None:
                raise section.error("ads needs dynamic_resources.ads_config", name)
    section.close()
    if ads is None:
        return None, static
    ads.ignore(IGNORED["ads_config"])
    delta = ads.text("api_type", among=("GRPC", "DELTA_GRPC")) == "DELTA_GRPC"
    ads.only("transport_api_version", "V3")
    services = ads.sections("grpc_services")
    if len(services) != 1:
        raise ads.error(f"expected one service, found {len(services)}", "grpc_services")
    ads.close()
    control_plane, static = _grpc_service(services[0], static)
    return replace(control_plane, delta=delta), static


def _ads_source(source: Section) -> None:
    source.ignore(IGNORED["config_source"])
    source.required("ads").close()
    source.close()


def _grpc_service(section: Section, static: ProxyConfig) -> tuple[ControlPlane, ProxyConfig]:
    section.ignore(IGNORED["grpc_service"])
    metadata = tuple(_header(each) for each in section.sections("initial_metadata"))
    by_cluster, by_target = section.section("envoy_grpc"), section.section("google_grpc")
    section.close()
    if (by_cluster is None) == (by_target is None):
        raise section.error("expected one of envoy_grpc and google_grpc")
    if by_target is not None:
        by_target.ignore(IGNORED["google_grpc"])
        target = by_target.text("target_uri")
        by_target.close()
        return ControlPlane(target, target, metadata), static
    assert by_cluster is not None  # noqa: S101 - one of the two is there
    by_cluster.ignore(IGNORED["envoy_grpc"])
    name = by_cluster.text("cluster_name")
    by_cluster.close()
    cluster = {cluster.name: cluster for cluster in static.clusters}.get(name)
    if cluster is None:
        raise by_cluster.error(f"there is no static cluster {name!r}", "cluster_name")
    try:
        target = grpc_target(cluster)
    except ValueError as error:
        raise by_cluster.error(str(error), "cluster_name") from None
    # The supervisor talks to the control plane, so the workers have no use for this cluster.
    rest = tuple(each for each in static.clusters if each is not cluster)
    return ControlPlane(name, target, metadata, cluster.connect_timeout), replace(static, clusters=rest)


def _header(section: Section) -> tuple[str, str]:
    key, value = section.text("key"), section.text("value", "")
    section.close()
    if key != key.lower():
        raise section.error(f"{key!r} has capitals, which gRPC metadata may not have", "key")
    return key, value


def grpc_target(cluster: Cluster) -> str:
    """The gRPC name of the hosts of ``cluster``. Raises :class:`ValueError` when gRPC cannot reach them."""
    if cluster.http.protocol != "http2":
        raise ValueError(f"cluster {cluster.name}: gRPC needs HTTP/2, and http2_protocol_options are missing")
    localities = () if cluster.load_assignment is None else cluster.load_assignment.localities
    addresses = [endpoint.address for locality in localities for endpoint in locality.endpoints]
    if not addresses:
        raise ValueError(f"cluster {cluster.name}: has no endpoints")
    pipes = [address for address in addresses if isinstance(address, PipeAddress)]
    if pipes:
        if len(addresses) > 1:
            raise ValueError(f"cluster {cluster.name}: a Unix socket must be the only endpoint")
        return f"unix-abstract:{pipes[0].path[1:]}" if pipes[0].path.startswith("@") else f"unix:{pipes[0].path}"
    if cluster.type is not ClusterType.STATIC:
        if len(addresses) > 1:
            raise ValueError(f"cluster {cluster.name}: a DNS name must be the only endpoint")
        return f"dns:///{addresses[0]}"
    families = {6 if ":" in str(getattr(address, "address", "")) else 4 for address in addresses}
    if len(families) > 1:
        raise ValueError(f"cluster {cluster.name}: addresses of IPv4 and of IPv6 do not mix")
    return f"ipv{families.pop()}:{','.join(str(address) for address in addresses)}"


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


__all__ = [
    "IGNORED",
    "Bootstrap",
    "ControlPlane",
    "ControlTls",
    "DocumentError",
    "Identity",
    "ProxySettings",
    "bootstrap_of",
    "grpc_target",
    "load_bootstrap",
]

"""The bootstrap of a pod's proxy, made of the pod's variables (:mod:`mesh_api.pod`). Pure."""

from collections.abc import Mapping
from typing import Any, Final

from mesh_api import pod
from mesh_api.node import NodeId, NodeKind
from mesh_api.pod import PodProxy

XDS: Final = "xds-grpc"
_HTTP2: Final = {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
}


class PodError(ValueError):
    """The variables do not describe a pod; the message names the variable."""


def document(environment: Mapping[str, str]) -> dict[str, Any]:
    """The bootstrap. Raises :class:`PodError`."""
    if pod.VARIABLE not in environment:
        raise PodError(f"{pod.VARIABLE} is missing: whoever puts the proxy into a pod sets it (mesh inject)")
    try:
        settings = PodProxy.from_json(environment[pod.VARIABLE])
    except ValueError as error:
        raise PodError(str(error)) from None
    missing = [name for name in pod.FIELDS if not environment.get(name)]
    if missing:
        raise PodError(f"{missing[0]} is missing: it has the pod's {pod.FIELDS[missing[0]]}")
    addresses = environment["POD_IPS"].split(",")
    name, namespace = environment["POD_NAME"], environment["POD_NAMESPACE"]
    node = NodeId(settings.kind, addresses[0], name, namespace, f"{namespace}.svc.{settings.domain}")
    app = settings.labels.get("app") or settings.workload or name
    return {
        "node": {
            "id": str(node),
            "cluster": f"{app}.{namespace}",
            "metadata": {**_metadata(settings, environment, addresses), "MESHWRIGHT": _own(settings)},
        },
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": pod.ADMIN}}},
        "dynamic_resources": _dynamic(),
        "static_resources": {"clusters": [_control(settings)]},
    }


def _metadata(settings: PodProxy, environment: Mapping[str, str], addresses: list[str]) -> dict[str, Any]:
    """What the control plane is told, under the names of Istio's agent."""
    found: dict[str, Any] = {
        "NAME": environment["POD_NAME"],
        "NAMESPACE": environment["POD_NAMESPACE"],
        "INSTANCE_IPS": ",".join(addresses),
        "SERVICE_ACCOUNT": environment["SERVICE_ACCOUNT"],
        "NODE_NAME": environment["NODE_NAME"],
        "CLUSTER_ID": settings.cluster,
        "MESH_ID": settings.mesh,
        "LABELS": dict(settings.labels),
        "ENVOY_STATUS_PORT": pod.READY,
        "ENVOY_PROMETHEUS_PORT": pod.STATS,
        **settings.metadata,
    }
    if settings.kind is NodeKind.SIDECAR:
        found.setdefault("INTERCEPTION_MODE", "REDIRECT")
    optional = {
        "WORKLOAD_NAME": settings.workload,
        "OWNER": settings.owner,
        "APP_CONTAINERS": ",".join(settings.containers),
        "PROXY_CONFIG": dict(settings.settings),
        "POD_PORTS": [dict(port) for port in settings.ports],
    }
    return {**found, **{name: value for name, value in optional.items() if value}}


def _own(settings: PodProxy) -> dict[str, Any]:
    return {
        "concurrency": settings.concurrency,
        "drain_seconds": settings.drain_seconds,
        "log_level": settings.log_level,
        "state_dir": f"{pod.STATE}/state",
        "identity_dir": f"{pod.STATE}/identity",
        "token_file": pod.TOKEN_FILE,
        "token_is_replaced": True,
        "control_root_file": pod.ROOTS_FILE,
        "control_server_name": settings.control_name,
        "ready_port": pod.READY,
        "stats_port": pod.STATS,
        "merged_port": pod.MERGED,
        "probes": {path: dict(probe) for path, probe in settings.probes.items()},
    }


def _dynamic() -> dict[str, Any]:
    service = {"envoy_grpc": {"cluster_name": XDS}}
    source = {"ads": {}, "resource_api_version": "V3"}
    ads = {"api_type": "DELTA_GRPC", "transport_api_version": "V3", "grpc_services": [service]}
    return {"ads_config": ads, "cds_config": source, "lds_config": source}


def _control(settings: PodProxy) -> dict[str, Any]:
    host, _, port = settings.control.rpartition(":")
    if not host or not port.isdigit():
        raise PodError(f"{pod.VARIABLE}: control: {settings.control!r} is not HOST:PORT")
    address = {"socket_address": {"address": host.strip("[]"), "port_value": int(port)}}
    return {
        "name": XDS,
        "type": "STRICT_DNS",
        "connect_timeout": "5s",
        "typed_extension_protocol_options": _HTTP2,
        "load_assignment": {
            "cluster_name": XDS,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }

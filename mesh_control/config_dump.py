"""What one proxy was sent and has taken, in the shape of Envoy's ``/config_dump`` (``admin.v3.ConfigDump``)."""

from collections.abc import Mapping
from typing import Any

from mesh_api.xds.json import serialized_to_json
from mesh_api.xds.session import TypeStatus
from mesh_api.xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE
from mesh_control.redaction import redacted

ADMIN = "type.googleapis.com/envoy.admin.v3."
SECTIONS = {"clusters": CLUSTER, "listeners": LISTENER, "routes": ROUTE, "endpoints": ENDPOINT}
"""Word of the command line to type URL, in Envoy's order."""


def config_dump(taken: Mapping[str, Mapping[str, bytes]], status: Mapping[str, TypeStatus]) -> dict[str, Any]:
    """``taken``: by type URL and name, what the proxy has acknowledged. A refusal stands as ``error_state`` beside it. Keys
    that nobody else may have are ``[redacted]``."""
    makers = {CLUSTER: _clusters, LISTENER: _listeners, ROUTE: _routes, ENDPOINT: _endpoints}
    configs = []
    for type_url in SECTIONS.values():
        known, version = status[type_url], status[type_url].version_acked
        resources = [
            (name, redacted(serialized_to_json(type_url, data))) for name, data in sorted(taken[type_url].items())
        ]
        made = {**makers[type_url](resources, version), "version_sent": known.version_sent, "state": state_of(known)}
        configs.append({**made, "error_state": {"details": known.error}} if known.error else made)
    return {"configs": configs}


def state_of(status: TypeStatus) -> str:
    """``istioctl proxy-status``' word: ``SYNCED``, ``STALE`` (sent and not answered), ``NOT SENT`` or ``NACKED``."""
    if status.error:
        return "NACKED"
    if not status.version_sent:
        return "NOT SENT"
    return "STALE" if status.in_flight else "SYNCED"


def syncz_row(name: str, status: Mapping[str, TypeStatus], node: Any) -> dict[str, Any]:
    """One entry of ``/debug/syncz`` (istiod's ``SyncStatus``); sent and acknowledged are versions of the world."""
    words = {CLUSTER: "cluster", LISTENER: "listener", ROUTE: "route", ENDPOINT: "endpoint"}
    row: dict[str, Any] = {
        "cluster_id": str(node.metadata.get("CLUSTER_ID", "Kubernetes")),
        "proxy": node.id,
        "proxy_type": node.id.partition("~")[0],
        "proxy_version": node.user_agent,
        "istio_version": str(node.metadata.get("ISTIO_VERSION", "")),
        "name": name,
    }
    resources = {}
    for type_url, word in words.items():
        known = status[type_url]
        acked = known.version_acked if known.in_flight or known.error else known.version_sent
        row |= {f"{word}_sent": known.version_sent, f"{word}_acked": acked}
        if known.subscribed:
            resources[type_url] = {"sent": known.version_sent, "acked": acked}
            resources[type_url] |= {"lastError": known.error} if known.error else {}
    return {**{key: value for key, value in row.items() if value}, "resources": resources}


Named = list[tuple[str, dict[str, Any]]]


def _clusters(resources: Named, version: str) -> dict[str, Any]:
    active = [{"version_info": version, "cluster": value} for _, value in resources]
    return {"@type": f"{ADMIN}ClustersConfigDump", "version_info": version, "dynamic_active_clusters": active}


def _listeners(resources: Named, version: str) -> dict[str, Any]:
    active = [{"name": name, "active_state": {"version_info": version, "listener": value}} for name, value in resources]
    return {"@type": f"{ADMIN}ListenersConfigDump", "version_info": version, "dynamic_listeners": active}


def _routes(resources: Named, version: str) -> dict[str, Any]:
    active = [{"version_info": version, "route_config": value} for _, value in resources]
    return {"@type": f"{ADMIN}RoutesConfigDump", "dynamic_route_configs": active}


def _endpoints(resources: Named, version: str) -> dict[str, Any]:
    active = [{"version_info": version, "endpoint_config": value} for _, value in resources]
    return {"@type": f"{ADMIN}EndpointsConfigDump", "dynamic_endpoint_configs": active}

"""Gateways in a cluster, as objects: the proxy, alone in its pods. Pure."""

from collections.abc import Iterator
from typing import Any

from mesh_api import pod as contract
from mesh_api.node import NodeKind
from mesh_api.pod import PodProxy
from mesh_control.injection import containers, stopping
from mesh_control.installation import control
from mesh_control.installation.values import Gateway, Installation
from mesh_control.sources.kubernetes.pods import TLS_MODE
from mesh_policy.objects.workloads import PROXY_CONTAINER

Value = dict[str, Any]


def objects(values: Installation, gateway: Gateway) -> Iterator[Value]:
    """One gateway: its account, Deployment, Service and disruption budget."""
    labels = {"app": gateway.name, "istio": gateway.label}
    metadata = {
        "name": gateway.name,
        "namespace": values.namespace,
        "labels": {**control.labels(gateway.name), **labels},
    }
    yield {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {**metadata, "name": _account(gateway)},
    }
    yield {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _service_metadata(metadata, gateway),
        "spec": _service(gateway, labels),
    }
    if gateway.replicas > 1:
        yield {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": metadata,
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels}},
        }
    yield {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": gateway.replicas,
            "selector": {"matchLabels": labels},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": _template(values, gateway, labels),
        },
    }


def _account(gateway: Gateway) -> str:
    return f"{gateway.name}-service-account"


def _service_metadata(metadata: Value, gateway: Gateway) -> Value:
    return {**metadata, **({"annotations": dict(gateway.annotations)} if gateway.annotations else {})}


def _service(gateway: Gateway, labels: dict[str, str]) -> Value:
    ports = [
        {
            "name": port.name,
            "port": port.port,
            "targetPort": port.target,
            "protocol": "TCP",
            **({"nodePort": port.node_port} if port.node_port is not None else {}),
        }
        for port in gateway.ports
    ]
    if gateway.type != "ClusterIP":
        ports.insert(
            0, {"name": "status-port", "port": contract.READY, "targetPort": contract.READY, "protocol": "TCP"}
        )
    address = {} if gateway.address is None else {"loadBalancerIP": gateway.address}
    return {"type": gateway.type, "selector": labels, "ports": ports, **address}


def _template(values: Installation, gateway: Gateway, labels: dict[str, str]) -> Value:
    own = {
        **control.labels(gateway.name),
        **labels,
        TLS_MODE: "istio",
        "service.istio.io/canonical-name": gateway.name,
        "service.istio.io/canonical-revision": "latest",
        "sidecar.istio.io/inject": "false",
    }
    annotations = {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(contract.MERGED),
        "prometheus.io/path": "/stats/prometheus",
        **control.revision(values),
    }
    grace = int(control.LEAVING_SECONDS + values.mesh.default_config.termination_drain_duration.total_seconds() + 10)
    return {
        "metadata": {"labels": own, "annotations": annotations},
        "spec": {
            "serviceAccountName": _account(gateway),
            "containers": [_container(values, gateway, own)],
            "topologySpreadConstraints": control.spread(gateway.name),
            "terminationGracePeriodSeconds": grace,
            "volumes": containers.volumes(),
            **control.pull_secrets(values),
        },
    }


def _container(values: Installation, gateway: Gateway, labels: dict[str, str]) -> Value:
    names = control.server_names(values)
    config = values.mesh.default_config
    settings = PodProxy(
        kind=NodeKind.ROUTER,
        control=f"{names[0]}:{control.XDS}",
        control_name=names[0],
        cluster=values.cluster,
        mesh=config.mesh_id or values.trust_domain,
        workload=gateway.name,
        owner=f"kubernetes://apis/apps/v1/namespaces/{values.namespace}/deployments/{gateway.name}",
        labels=labels,
        metadata={"UNPRIVILEGED_POD": "true", **({"NETWORK": values.network} if values.network else {})},
        concurrency=config.concurrency or 1,
        drain_seconds=config.termination_drain_duration.total_seconds(),
        log_level=values.log_level,
    )
    ready = containers.ready()
    return {
        "name": PROXY_CONTAINER,
        "image": values.image("proxy"),
        "imagePullPolicy": values.pull_policy,
        "args": ["pod"],
        "env": containers.variables(settings, {}),
        "ports": [
            *({"name": port.name, "containerPort": port.target, "protocol": "TCP"} for port in gateway.ports),
            {"name": "status-port", "containerPort": contract.READY, "protocol": "TCP"},
            {"name": "http-envoy-prom", "containerPort": contract.STATS, "protocol": "TCP"},
        ],
        "lifecycle": stopping.hook(control.LEAVING_SECONDS),
        "resources": gateway.resources.to_container(),
        "securityContext": containers.confined(),
        "startupProbe": {**ready, "periodSeconds": 1, "failureThreshold": 600, "timeoutSeconds": 3},
        "readinessProbe": {**ready, "periodSeconds": 3, "failureThreshold": 4, "timeoutSeconds": 3},
        "volumeMounts": containers.mounts(),
    }

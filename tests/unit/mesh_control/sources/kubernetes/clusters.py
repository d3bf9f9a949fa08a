"""Objects of a cluster, as its API server shows them."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from mesh_control.sources.kubernetes.registry import Objects
from mesh_policy import objects

Value = dict[str, Any]
T = TypeVar("T", objects.Service, objects.EndpointSlice, objects.Workload, objects.Node, objects.Namespace)


def service(name: str, ports: list[Value] | None = None, **spec: Any) -> Value:
    metadata = {"name": name, "namespace": "default", **spec.pop("metadata", {})}
    ports = ports if ports is not None else [{"name": "http", "port": 80, "targetPort": 8080}]
    found = {"clusterIP": "10.96.0.1", "selector": {"app": name}, "ports": ports, **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": found}


def endpoint(pod: str, address: str, **more: Any) -> Value:
    target = {"targetRef": {"kind": "Pod", "name": pod, "namespace": "default"}} if pod else {}
    return {"addresses": [address], "conditions": {"ready": True}, **target, **more}


def endpoint_slice(name: str, of: str, endpoints: list[Value], ports: list[Value] | None = None) -> Value:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": "default", "labels": {"kubernetes.io/service-name": of}},
        "addressType": "IPv4",
        "ports": ports if ports is not None else [{"name": "http", "port": 8080}],
        "endpoints": endpoints,
    }


def pod(name: str, address: str, labels: Mapping[str, str] | None = None, **more: Any) -> Value:
    status = {"phase": "Running", "podIP": address, "conditions": [{"type": "Ready", "status": "True"}]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": dict(labels or {}), **more.pop("metadata", {})},
        "spec": {"containers": [{"name": "app"}], "nodeName": "node-a", **more.pop("spec", {})},
        "status": status | more.pop("status", {}),
    }


def snapshot(values: Iterable[Value]) -> Objects:
    """The objects of a cluster that has these."""
    return put(Objects(), values)


def put(known: Objects, values: Iterable[Value]) -> Objects:
    """A cluster with further objects, or others of the same names; all that is not among them stays the same."""
    read = [found for value in values if (found := objects.read(value)) is not None]

    def named(kind: type[T]) -> dict[Any, T]:
        return {(item.meta.namespace, item.meta.name): item for item in read if isinstance(item, kind)}

    return Objects(
        {**known.services, **named(objects.Service)},
        {**known.slices, **named(objects.EndpointSlice)},
        {**known.pods, **named(objects.Workload)},
        {**known.nodes, **{name: node for (_, name), node in named(objects.Node).items()}},
        {**known.namespaces, **{name: item for (_, name), item in named(objects.Namespace).items()}},
    )

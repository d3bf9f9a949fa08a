"""Objects of Kubernetes that policies are about: services, workloads, namespaces, secrets. Read, never written.

:func:`read` makes a typed object of plain values; :data:`READERS` is the one list of kinds. Only what somebody asks for is
read; an object that cannot be read is an :class:`ObjectError` that names the field.
"""

from collections.abc import Callable, Mapping

from mesh_policy.objects.cluster import (
    ConfigMap,
    CustomResourceDefinition,
    Namespace,
    Node,
    Secret,
    read_config_map,
    read_definition,
    read_namespace,
    read_node,
    read_secret,
)
from mesh_policy.objects.endpoints import (
    SERVICE_NAME,
    Endpoint,
    EndpointPort,
    EndpointSlice,
    read_endpoint_slice,
    read_endpoints,
)
from mesh_policy.objects.metadata import Condition, Meta
from mesh_policy.objects.pods import Controller, PodState
from mesh_policy.objects.reading import Fields, ObjectError
from mesh_policy.objects.services import Service, ServicePort, protocol_of, read_service
from mesh_policy.objects.workloads import (
    Container,
    ContainerPort,
    PodTemplate,
    Workload,
    read_cron_job,
    read_daemon_set,
    read_deployment,
    read_job,
    read_pod,
    read_replica_set,
    read_stateful_set,
)

Object = Service | Workload | EndpointSlice | Namespace | Node | Secret | ConfigMap | CustomResourceDefinition

READERS: Mapping[tuple[str, str], Callable[[Fields], Object]] = {
    ("", "Service"): read_service,
    ("", "Pod"): read_pod,
    ("", "Endpoints"): read_endpoints,
    ("discovery.k8s.io", "EndpointSlice"): read_endpoint_slice,
    ("apps", "Deployment"): read_deployment,
    ("apps", "StatefulSet"): read_stateful_set,
    ("apps", "DaemonSet"): read_daemon_set,
    ("apps", "ReplicaSet"): read_replica_set,
    ("batch", "Job"): read_job,
    ("batch", "CronJob"): read_cron_job,
    ("", "Namespace"): read_namespace,
    ("", "Node"): read_node,
    ("", "Secret"): read_secret,
    ("", "ConfigMap"): read_config_map,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): read_definition,
}
"""Every kind that is read, by group and kind. To add one: its module here, and a line."""


def read(value: Mapping[str, object]) -> Object | None:
    """The object; ``None`` for a kind that nobody here asks for. Raises :class:`ObjectError`."""
    fields = Fields.of(value)
    group = fields.text("apiVersion").rpartition("/")[0]
    reader = READERS.get((group, fields.text("kind")))
    return None if reader is None else reader(fields)


__all__ = [
    "READERS",
    "SERVICE_NAME",
    "Condition",
    "ConfigMap",
    "Container",
    "ContainerPort",
    "Controller",
    "CustomResourceDefinition",
    "Endpoint",
    "EndpointPort",
    "EndpointSlice",
    "Fields",
    "Meta",
    "Namespace",
    "Node",
    "Object",
    "ObjectError",
    "PodState",
    "PodTemplate",
    "Secret",
    "Service",
    "ServicePort",
    "Workload",
    "protocol_of",
    "read",
    "read_config_map",
]

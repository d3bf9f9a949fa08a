"""What runs: Pod, and the kinds that make pods of a template (Kubernetes ``v1``, ``apps/v1``, ``batch/v1``)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mesh_policy.objects.metadata import Meta, read_meta
from mesh_policy.objects.pods import PodState, read_pod_state
from mesh_policy.objects.reading import Fields

PROXY_CONTAINER = "istio-proxy"
"""Name of the container that holds the proxy."""


@dataclass(frozen=True, slots=True)
class ContainerPort:
    """A port that a container names."""

    name: str
    number: int
    transport: str = "TCP"


@dataclass(frozen=True, slots=True)
class Container:
    """One container. ``environment`` has those variables that are written out; ``always``: it is started again whenever it
    ends, which makes an init container one that stays (Kubernetes' sidecar containers)."""

    name: str
    image: str = ""
    ports: tuple[ContainerPort, ...] = ()
    always: bool = False
    run_as_user: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PodTemplate:
    """A pod as it will be: labels, annotations and what it runs."""

    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    service_account: str = "default"
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    run_as_user: int | None = None
    host_network: bool = False
    node: str = ""

    @property
    def proxy(self) -> Container | None:
        """The container of the proxy, where it was already put in."""
        everything = (*self.containers, *self.init_containers)
        return next((container for container in everything if container.name == PROXY_CONTAINER), None)

    def port_named(self, name: str) -> int | None:
        """The number of a container's port."""
        return self.named_ports().get(name)

    def named_ports(self, transport: str = "TCP") -> Mapping[str, int]:
        """Name of a container's port to its number: the first of a name counts (Kubernetes)."""
        stay = (*self.containers, *(c for c in self.init_containers if c.always))
        found: dict[str, int] = {}
        for port in (p for container in stay for p in container.ports if p.name and p.transport == transport):
            found.setdefault(port.name, port.number)
        return found


@dataclass(frozen=True, slots=True)
class Workload:
    """An object that runs: ``kind`` is Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, Job or CronJob.

    ``replicas`` is how many there are to be, where the object says it (default 1); a DaemonSet's is unknown: ``None``.
    ``state`` is that of a Pod.
    """

    kind: str
    meta: Meta
    pod: PodTemplate
    replicas: int | None = 1
    state: PodState | None = None


def read_pod(fields: Fields) -> Workload:
    """A Pod."""
    meta = read_meta(fields)
    pod = _pod(fields.inner("spec"), meta.labels, meta.annotations)
    return Workload("Pod", meta, pod, state=read_pod_state(fields))


def read_deployment(fields: Fields) -> Workload:
    """A Deployment."""
    return _templated("Deployment", fields)


def read_stateful_set(fields: Fields) -> Workload:
    """A StatefulSet."""
    return _templated("StatefulSet", fields)


def read_replica_set(fields: Fields) -> Workload:
    """A ReplicaSet."""
    return _templated("ReplicaSet", fields)


def read_daemon_set(fields: Fields) -> Workload:
    """A DaemonSet: one pod on each node, however many these are."""
    return Workload("DaemonSet", read_meta(fields), _template(fields.inner("spec")), None)


def read_job(fields: Fields) -> Workload:
    """A Job."""
    return Workload("Job", read_meta(fields), _template(fields.inner("spec")))


def read_cron_job(fields: Fields) -> Workload:
    """A CronJob: its template holds a Job's."""
    job = fields.inner("spec").inner("jobTemplate").inner("spec")
    return Workload("CronJob", read_meta(fields), _template(job))


def _templated(kind: str, fields: Fields) -> Workload:
    spec = fields.inner("spec")
    replicas = spec.whole("replicas")
    return Workload(kind, read_meta(fields), _template(spec), 1 if replicas is None else replicas)


def _template(spec: Fields) -> PodTemplate:
    template = spec.inner("template")
    metadata = template.inner("metadata")
    return _pod(template.inner("spec"), metadata.texts("labels"), metadata.texts("annotations"))


def _pod(spec: Fields, labels: Mapping[str, str], annotations: Mapping[str, str]) -> PodTemplate:
    return PodTemplate(
        labels=labels,
        annotations=annotations,
        service_account=spec.text("serviceAccountName") or spec.text("serviceAccount") or "default",
        containers=tuple(_container(item) for item in spec.items("containers")),
        init_containers=tuple(_container(item) for item in spec.items("initContainers")),
        run_as_user=spec.inner("securityContext").whole("runAsUser"),
        host_network=spec.flag("hostNetwork"),
        node=spec.text("nodeName"),
    )


def _container(item: Fields) -> Container:
    return Container(
        item.text("name"),
        item.text("image"),
        tuple(
            ContainerPort(port.text("name"), port.port("containerPort"), port.text("protocol", "TCP"))
            for port in item.items("ports")
        ),
        item.text("restartPolicy") == "Always",
        item.inner("securityContext").whole("runAsUser"),
        {variable.text("name"): str(variable.values.get("value") or "") for variable in item.items("env")},
    )

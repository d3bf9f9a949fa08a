"""A pod with its proxy, made of one without. Pure: unknown fields of the pod stay as they are."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mesh_api import pod as contract
from mesh_api.pod import PodProxy
from mesh_control.injection import containers, probes, stopping
from mesh_control.injection.containers import Value
from mesh_control.injection.probes import ProbeError
from mesh_control.injection.template import Template, native
from mesh_control.injection.wishes import STATUS, WishError, Wishes, read
from mesh_control.sources.kubernetes.pods import TLS_MODE, owner
from mesh_policy import objects
from mesh_policy.mesh_config import MeshConfig
from mesh_policy.objects import Fields, ObjectError
from mesh_policy.objects.workloads import PROXY_CONTAINER, read_pod

CANONICAL_NAME, CANONICAL_REVISION = "service.istio.io/canonical-name", "service.istio.io/canonical-revision"
_SCRAPE = ("scrape", "port", "path")
_PLURAL = {
    "Deployment": ("apis/apps/v1", "deployments"),
    "StatefulSet": ("apis/apps/v1", "statefulsets"),
    "DaemonSet": ("apis/apps/v1", "daemonsets"),
    "ReplicaSet": ("apis/apps/v1", "replicasets"),
    "Job": ("apis/batch/v1", "jobs"),
    "CronJob": ("apis/batch/v1", "cronjobs"),
    "Pod": ("apis/v1", "pods"),
}
"""Kind to the place of its collection in the API, as Istio writes it into a proxy's metadata."""


class InjectionError(ValueError):
    """A pod that cannot have a proxy as it is; the message says which field stands in the way, and a mend."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What else a pod's proxy depends on: the mesh's settings, and the cluster's version (major, minor) where it is known."""

    template: Template = field(default_factory=Template)
    mesh: MeshConfig = field(default_factory=MeshConfig)
    version: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Injected:
    """The pod with its proxy, and what its author should know."""

    pod: Value
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Maker:
    """The object that a pod is a copy of; for a pod that exists it follows from its controller."""

    kind: str
    name: str


def inject(pod: Mapping[str, Any], around: Surroundings, maker: Maker | None = None) -> Injected:
    """``pod`` is a Pod, or a template of one with the namespace in its metadata. Raises :class:`InjectionError`."""
    try:
        known = read_pod(Fields.of(dict(pod)))
        wishes = read(known.pod.annotations)
        asked: dict[str, dict[str, Any]] = {}
        application = []
        seconds = stopping.delay(around.template, wishes.stop_delay, pod["spec"], around.version)
        for container in pod["spec"].get("containers") or ():
            changed, questions = probes.rewritten(container) if _rewrites(wishes) else (dict(container), {})
            application.append(stopping.delayed(changed, seconds))
            asked |= questions
    except ObjectError as error:
        raise InjectionError(f"{'.'.join(map(str, error.path))}: {error.message}") from None
    except (WishError, ProbeError) as error:
        raise InjectionError(str(error)) from None
    maker = maker or _maker(known)
    labels = {**known.pod.labels, **_labels(known, wishes, maker)}
    settings = replace(_settings(known, around, wishes, maker), labels=labels, probes=asked)
    annotations, environment = _scraping(known.pod.annotations, wishes)
    spec = _spec(pod["spec"], application, around, wishes, settings, environment)
    annotations |= {STATUS: _status(spec)}
    metadata = {**pod.get("metadata", {}), "labels": labels, "annotations": annotations}
    return Injected({**pod, "metadata": metadata, "spec": spec}, wishes.warnings)


def _rewrites(wishes: Wishes) -> bool:
    return wishes.rewrites_probes and wishes.intercepted


def _maker(pod: objects.Workload) -> Maker:
    name, state = owner(pod), pod.state or objects.PodState()
    kind = "Pod" if state.controller is None else state.controller.kind
    if kind == "ReplicaSet" and state.controller is not None and name != state.controller.name:
        kind = "Deployment"
    if kind == "Job" and state.controller is not None and name != state.controller.name:
        kind = "CronJob"
    return Maker(kind, name)


def _labels(pod: objects.Workload, wishes: Wishes, maker: Maker) -> dict[str, str]:
    """By these callers know that it takes mutual TLS, and telemetry knows what it is called."""
    has = pod.pod.labels
    name = next(
        (has[label] for label in (CANONICAL_NAME, "app.kubernetes.io/name", "app") if has.get(label)), maker.name
    )
    revision = next(
        (has[label] for label in (CANONICAL_REVISION, "app.kubernetes.io/version", "version") if has.get(label)),
        "latest",
    )
    made = {CANONICAL_NAME: name, CANONICAL_REVISION: revision}
    return {**made, TLS_MODE: has.get(TLS_MODE, "istio")} if wishes.intercepted else made


def _settings(pod: objects.Workload, around: Surroundings, wishes: Wishes, maker: Maker) -> PodProxy:
    template, below = around.template, around.mesh.default_config
    config = below if wishes.settings is None else wishes.settings.over(below)
    root, plural = _PLURAL.get(maker.kind, ("apis", f"{maker.kind.lower()}s"))
    metadata: dict[str, Any] = {} if wishes.intercepted else {"INTERCEPTION_MODE": "NONE"}
    if template.network:
        metadata["NETWORK"] = template.network
    told = {name: value for name, value in config.proxy_metadata.items() if name.startswith("ISTIO_META_")}
    metadata |= {name.removeprefix("ISTIO_META_"): value for name, value in told.items()}
    return PodProxy(
        control=template.control,
        control_name=template.control_name,
        cluster=template.cluster,
        mesh=config.mesh_id or around.mesh.trust_domain,
        workload=maker.name,
        owner=f"kubernetes://{root}/namespaces/{pod.meta.namespace}/{plural}/{maker.name}",
        containers=tuple(container.name for container in pod.pod.containers),
        ports=_ports(pod),
        metadata=metadata,
        settings=wishes.written,
        concurrency=config.concurrency or 1,
        drain_seconds=config.termination_drain_duration.total_seconds(),
        log_level=wishes.log_level or template.log_level,
    )


def _ports(pod: objects.Workload) -> tuple[dict[str, Any], ...]:
    return tuple(
        {"containerPort": port.number, "protocol": port.transport, **({"name": port.name} if port.name else {})}
        for container in pod.pod.containers
        for port in container.ports
    )


def _scraping(annotations: Mapping[str, str], wishes: Wishes) -> tuple[dict[str, str], dict[str, str]]:
    """Annotations by which the proxy's metrics are scraped with the application's, and the variable that tells the proxy
    where those are (Istio's metrics merging)."""
    made, environment = dict(annotations), dict[str, str]()
    if not wishes.merges_metrics or annotations.get("prometheus.io/scrape") == "false":
        return made, environment
    own = {name: annotations[f"prometheus.io/{name}"] for name in _SCRAPE if f"prometheus.io/{name}" in annotations}
    if own.get("scrape") == "true":
        environment["ISTIO_PROMETHEUS_ANNOTATIONS"] = json.dumps(own, sort_keys=True)
    scrape = {"scrape": "true", "port": str(contract.MERGED), "path": "/stats/prometheus"}
    return made | {f"prometheus.io/{name}": value for name, value in scrape.items()}, environment


def _spec(
    spec: Mapping[str, Any],
    application: list[Value],
    around: Surroundings,
    wishes: Wishes,
    settings: PodProxy,
    environment: Mapping[str, str],
) -> Value:
    template = around.template
    stays = native(template, around.version) if wishes.native is None else wishes.native
    proxy = containers.proxy(template, wishes, settings, environment, native=stays)
    init = [dict(container) for container in spec.get("initContainers") or ()]
    redirect = [containers.redirect(template, wishes)] if wishes.intercepted else []
    made = dict(spec)
    if stays:
        # Whatever else runs before the application has the mesh already.
        made["initContainers"] = [*redirect, proxy, *init]
        made["containers"] = application
    else:
        # What runs before the proxy reaches the network as if there were no mesh.
        made["initContainers"] = [*init, *redirect]
        made["containers"] = [proxy, *application]
    made["volumes"] = [*(spec.get("volumes") or ()), *containers.volumes()]
    if template.pull_secrets:
        known = [dict(secret) for secret in spec.get("imagePullSecrets") or ()]
        wanted = [{"name": name} for name in template.pull_secrets]
        made["imagePullSecrets"] = [*known, *(secret for secret in wanted if secret not in known)]
    return made


def _status(spec: Mapping[str, Any]) -> str:
    """In Istio's form, by which tools know what was injected."""
    ours = (containers.REDIRECT_CONTAINER, PROXY_CONTAINER)
    made = {
        "initContainers": [name for name in containers.names(spec.get("initContainers") or ()) if name in ours],
        "containers": [name for name in containers.names(spec["containers"]) if name in ours],
        "volumes": list(containers.VOLUMES),
        "revision": "default",
    }
    return json.dumps(made, separators=(",", ":"))

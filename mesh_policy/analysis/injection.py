"""Injection: which namespaces and pods get a proxy, and which do not that seem to want one."""

from collections.abc import Iterator, Mapping, Sequence

from mesh_policy import json_text
from mesh_policy.analysis.context import Check, Context
from mesh_policy.analysis.finding import Finding, Placed, found
from mesh_policy.analysis.inputs import NOT_OF_THE_MESH
from mesh_policy.analysis.pods import (
    INJECT,
    MODE_LABEL,
    NAMESPACE_LABEL,
    REVISION_LABEL,
    injected_by_labels,
    is_injected,
)
from mesh_policy.objects import ConfigMap, Namespace, PodTemplate, Workload

SYSTEM = NOT_OF_THE_MESH | {"istio-system"}
"""Namespaces whose pods are never injected."""
_INJECTOR = "istio-sidecar-injector"


def namespaces(context: Context) -> Iterator[Finding]:
    """IST0102, IST0123 and IST0148: the labels of namespaces."""
    by_default = _by_default(context)
    for placed in context.of(Namespace):
        if placed.name in SYSTEM:
            continue
        labels = placed.labels
        yield from _several(placed)
        if labels.get(MODE_LABEL) == "ambient" or labels.get(NAMESPACE_LABEL) or REVISION_LABEL in labels:
            continue
        if by_default:
            message = (
                f"is injected, because that is the default; label it {NAMESPACE_LABEL}=disabled if it is not meant"
            )
            yield found("IST0148", placed, ("metadata", "name"), message)
        else:
            message = (
                f"is not injected: its workloads get no proxy; label it {NAMESPACE_LABEL}=enabled, "
                f"or {NAMESPACE_LABEL}=disabled to say that it is meant"
            )
            yield found("IST0102", placed, ("metadata", "name"), message)


def _several(placed: Placed[Namespace]) -> Iterator[Finding]:
    labels = placed.labels
    has = [NAMESPACE_LABEL] if NAMESPACE_LABEL in labels else []
    if labels.get(NAMESPACE_LABEL, "enabled") == "enabled":
        has += [name for name in (REVISION_LABEL, MODE_LABEL) if name in labels]
    if len(has) > 1:
        shown = " and ".join(f"{name}={labels[name]}" for name in has)
        yield found("IST0123", placed, ("metadata", "labels"), f"has the labels {shown}; keep one of them")


def _by_default(context: Context) -> bool:
    """Whether the injector's configuration says that a namespace without a label is injected."""
    for placed in context.of(ConfigMap):
        if placed.name == _INJECTOR:
            try:
                values = json_text.parse(placed.value.data.get("values", ""))
                return bool(values["sidecarInjectorWebhook"]["enableNamespacesByDefault"])
            except (ValueError, KeyError, TypeError):
                return False
    return False


def missing_proxies(context: Context) -> Iterator[Finding]:
    """IST0103: pods of an injected namespace without proxy."""
    injected = {
        placed.name
        for placed in context.of(Namespace)
        if placed.name not in SYSTEM
        and placed.labels.get(NAMESPACE_LABEL) == "enabled"
        and placed.labels.get(MODE_LABEL) != "ambient"
    }
    for placed in context.of(Workload):
        pod = placed.value.pod
        if placed.value.kind != "Pod" or placed.namespace not in injected or pod.host_network:
            continue
        said = pod.labels.get(INJECT, pod.annotations.get(INJECT, ""))
        if said.lower() != "false" and not (pod.proxy is not None and pod.proxy.image):
            message = "has no proxy, though its namespace is injected; make it anew, by its Deployment for example"
            yield found("IST0103", placed, ("metadata", "name"), message)


def waiting_images(context: Context) -> Iterator[Finding]:
    """IST0146 and IST0147: `image: auto` is replaced by injection, and no image by itself."""
    for placed in context.of(Workload):
        if not _waits(placed.value.pod):
            continue
        if placed.value.kind == "Pod":
            message = (
                "still has `image: auto`: it was not injected, and cannot start; label its namespace and make it anew"
            )
            yield found("IST0147", placed, ("spec", "containers"), message)
        elif placed.value.kind == "Deployment" and not _will_be_injected(context, placed):
            message = "has `image: auto` and will not be injected; label its namespace, or its pods for injection"
            yield found("IST0146", placed, ("spec", "template", "spec", "containers"), message)


def _waits(pod: PodTemplate) -> bool:
    return any(container.name == "istio-proxy" and container.image == "auto" for container in pod.containers)


def _will_be_injected(context: Context, placed: Placed[Workload]) -> bool:
    said = injected_by_labels(placed.value.pod.labels)
    namespace = context.namespaces.get(placed.namespace)
    labels: Mapping[str, str] = namespace.labels if namespace is not None else {}
    if said is not None:
        return said and labels.get(NAMESPACE_LABEL) != "disabled"
    return is_injected(labels)


CHECKS: Sequence[Check] = (namespaces, missing_proxies, waiting_images)

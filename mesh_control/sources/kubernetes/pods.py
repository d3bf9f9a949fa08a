"""A Pod as a workload of the world. Pure; the rules are istiod's (``kube/controller/pod.go``, ``pkg/kube/util.go``)."""

import re
from collections.abc import Mapping

from mesh_control.networks import LABEL
from mesh_control.services import Health, Origin, Workload
from mesh_policy import objects

TLS_MODE = "security.istio.io/tlsMode"
WORKLOAD_NAME = "service.istio.io/workload-name"
LOCALITY = ("topology.istio.io/locality", "istio-locality")
"""Labels of a pod that say where it is, whatever its node says; dots stand for slashes, which no label may have."""
REGION = ("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region")
ZONE = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone")
SUB_ZONE = ("topology.istio.io/subzone",)
_OF_CRON_JOB = re.compile(r"(.+)-\d{8,10}")
_TEMPLATE_HASHES = ("pod-template-hash", "rollouts-pod-template-hash")


def workload(pod: objects.Workload, node: objects.Node | None) -> Workload | None:
    """The workload; ``None`` for a pod that has no address yet, or of which nothing runs any more."""
    state = pod.state or objects.PodState()
    if not state.addresses or state.ended:
        return None
    return Workload(
        name=pod.meta.name,
        namespace=pod.meta.namespace,
        address=state.addresses[0],
        labels=pod.meta.labels,
        service_account=pod.pod.service_account,
        ports=pod.pod.named_ports(),
        sidecar=pod.pod.proxy is not None,
        locality=locality(pod.meta.labels, node),
        mutual_tls=pod.meta.labels.get(TLS_MODE) == "istio",
        origin=Origin.POD,
        health=Health.HEALTHY if state.ready and not state.terminating else Health.UNHEALTHY,
        owner=owner(pod),
        node=pod.pod.node,
        network=pod.meta.labels.get(LABEL, ""),
    )


def locality(labels: Mapping[str, str], node: objects.Node | None) -> str:
    """``REGION/ZONE/SUBZONE``: as the pod's labels say, else its node's; empty where neither does."""
    said = next((labels[label] for label in LOCALITY if labels.get(label)), "")
    if said:
        return said if "/" in said else said.replace(".", "/")
    if node is None:
        return ""
    parts = [_first(node.meta.labels, names) for names in (REGION, ZONE, SUB_ZONE)]
    return "/".join(parts) if any(parts) else ""


def _first(labels: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((labels[name] for name in names if labels.get(name)), "")


def owner(pod: objects.Workload) -> str:
    """What the pod is a copy of: the Deployment, CronJob ... whose name its own and its controller's are made of."""
    if WORKLOAD_NAME in pod.meta.labels:
        return pod.meta.labels[WORKLOAD_NAME]
    state = pod.state or objects.PodState()
    if not state.generated or state.controller is None:
        return pod.meta.name
    kind, name, labels = state.controller.kind, state.controller.name, pod.meta.labels
    if kind == "ReplicaSet":
        hashes = (labels[label] for label in _TEMPLATE_HASHES if labels.get(label))
        return next((name.removesuffix(f"-{found}") for found in hashes if name.endswith(found)), name)
    if kind == "ReplicationController" and labels.get("deploymentconfig"):
        return labels["deploymentconfig"]
    cron = _OF_CRON_JOB.fullmatch(name) if kind == "Job" else None
    return cron[1] if cron is not None else name

"""Whether a pod gets a proxy, in the order in which Istio decides. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mesh_policy import objects
from mesh_policy.analysis.pods import INJECT, NAMESPACE_LABEL

OWN_NAMESPACE: Final = "meshwright.io/injection"
"""Label of a namespace beside Istio's: ``enabled`` or ``disabled``."""
ENABLED, DISABLED = "enabled", "disabled"
WITHOUT: Final = ("kube-system", "kube-public", "kube-node-lease")
"""Namespaces whose pods never get one."""


@dataclass(frozen=True, slots=True)
class Decision:
    """``wanted``: whether the pod is to have a proxy. Where it is and cannot, ``obstacle`` says why; ``reason`` says why it
    is not to."""

    wanted: bool
    reason: str = ""
    obstacle: str = ""

    @property
    def injects(self) -> bool:
        """Whether it gets one."""
        return self.wanted and not self.obstacle


def decide(pod: objects.Workload, namespace: Mapping[str, str], control_namespace: str = "istio-system") -> Decision:
    """``namespace`` are the labels of the pod's namespace."""
    where = pod.meta.namespace
    if where in (*WITHOUT, control_namespace):
        return Decision(False, f"the namespace {where} is the system's own")
    said = pod.pod.labels.get(INJECT) or pod.pod.annotations.get(INJECT)
    if said is not None and said.lower() in ("false", "no", "n", "off", "0"):
        return Decision(False, f"{INJECT} is {said!r}")
    asked = said is not None and said.lower() in ("true", "yes", "y", "on", "1")
    if not asked and not selects(namespace):
        return Decision(False, f"neither the pod's label {INJECT} nor the namespace's {NAMESPACE_LABEL} asks for it")
    if pod.pod.host_network:
        mend = f'give the pod a network of its own, or set its label {INJECT} to "false"'
        return Decision(True, obstacle=f"hostNetwork: redirecting would catch the whole node's connections; {mend}")
    return Decision(True)


def selects(namespace: Mapping[str, str]) -> bool:
    """Whether the labels of a namespace ask for proxies; one that says ``disabled`` counts before the other."""
    values = {namespace.get(NAMESPACE_LABEL), namespace.get(OWN_NAMESPACE)}
    return ENABLED in values and DISABLED not in values


def has_proxy(pod: objects.Workload) -> bool:
    """Whether a proxy was put in already."""
    return pod.pod.proxy is not None

"""Pods that run without the proxy that they should have, and what is told of each. Pure.

A pod that is refused is told by whoever wanted to make it. These are others: they are older than the label of their
namespace, or they were made while nobody was asked.
"""

from collections.abc import Iterable, Iterator, Mapping

from mesh_control.injection.decision import decide, has_proxy
from mesh_policy import objects

REASON = "NotInjected"
OLDER = (
    "it should have a proxy and runs without one: it is older than the label of its namespace, or nobody was asked when it "
    "was made; delete it, or restart what made it (kubectl rollout restart)"
)


def uninjected(
    namespaces: Mapping[str, Mapping[str, str]], pods: Iterable[objects.Workload], control_namespace: str
) -> Iterator[tuple[objects.Workload, str]]:
    """Each such pod, and why or what to do. ``namespaces`` has the labels by name."""
    for pod in pods:
        state = pod.state or objects.PodState()
        if state.ended or state.terminating or has_proxy(pod):
            continue
        decision = decide(pod, namespaces.get(pod.meta.namespace, {}), control_namespace)
        if decision.wanted:
            yield pod, decision.obstacle or OLDER

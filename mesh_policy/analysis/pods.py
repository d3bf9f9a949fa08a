"""Which workloads there are, found by namespace and labels without looking at every one."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mesh_policy.analysis.finding import Placed
from mesh_policy.objects import PodTemplate, Workload
from mesh_policy.selectors import WorkloadSelector

NAMESPACE_LABEL = "istio-injection"
REVISION_LABEL = "istio.io/rev"
MODE_LABEL = "istio.io/dataplane-mode"
INJECT = "sidecar.istio.io/inject"
"""A label of a pod (formerly an annotation) that switches injection on (``true``) or off."""
GATEWAY_NAME = "gateway.networking.k8s.io/gateway-name"
"""Label of the pods of a Gateway of the Gateway API, with its name."""


@dataclass(frozen=True, slots=True)
class KnownWorkload:
    """A workload that exists: its namespace, labels, and the host of the service that it belongs to."""

    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)
    host: str = ""
    gateway: bool = False
    """Whether it is a gateway: where none of the known workloads is one, nothing is known of gateways."""


@dataclass(frozen=True, slots=True, eq=False)
class Pod:
    """Something that runs, or will be made of a template.

    ``in_mesh``: a proxy stands beside it. ``ambient``: its node's proxy carries its traffic. ``host`` is that of its
    service where the selector does not say it. ``count``: how many there are, ``None`` when unknown.
    """

    namespace: str
    name: str
    labels: Mapping[str, str]
    in_mesh: bool = True
    ambient: bool = False
    host: str = ""
    count: int | None = 1
    template: PodTemplate | None = None
    placed: Placed[Workload] | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name; where the name is not known, what is: its labels."""
        return self.namespace, self.name or repr(sorted(self.labels.items()))


class Pods:
    """The workloads, by namespace and by label."""

    def __init__(self, pods: Iterable[Pod]) -> None:
        self._all = tuple(pods)
        self._namespaces: dict[str, list[Pod]] = {}
        self._labels: dict[tuple[str, str], list[Pod]] = {}
        for pod in self._all:
            self._namespaces.setdefault(pod.namespace, []).append(pod)
            for label in pod.labels.items():
                self._labels.setdefault(label, []).append(pod)

    def __iter__(self) -> Iterator[Pod]:
        return iter(self._all)

    def of_namespace(self, namespace: str) -> Sequence[Pod]:
        """The workloads of a namespace."""
        return self._namespaces.get(namespace, ())

    def select(self, labels: Mapping[str, str] | None, namespace: str | None = None) -> Iterator[Pod]:
        """Those that carry all the labels, in one namespace or in any. No labels select all."""
        if not labels:
            yield from self._all if namespace is None else self.of_namespace(namespace)
            return
        rarest = min((self._labels.get(label, ()) for label in labels.items()), key=len)
        for pod in rarest:
            if namespace in (None, pod.namespace) and labels.items() <= pod.labels.items():
                yield pod

    def any(self, labels: Mapping[str, str] | None, namespace: str | None = None) -> bool:
        """Whether there is one."""
        return next(self.select(labels, namespace), None) is not None


def labels_of(selector: WorkloadSelector | None) -> Mapping[str, str]:
    """The labels that a selector asks for; none without one."""
    return (selector.match_labels or {}) if selector is not None else {}


def labels_text(labels: Mapping[str, str]) -> str:
    """Labels as Kubernetes writes them: ``a=b,c=d``."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "any labels"


def injected_by_labels(labels: Mapping[str, str]) -> bool | None:
    """What a pod's own labels (or annotations) say of injection; ``None``: nothing."""
    value = labels.get(INJECT)
    return None if value is None else value == "true"


def is_in_mesh(pod: PodTemplate, namespace_labels: Mapping[str, str] | None, otherwise: bool = False) -> bool:
    """Whether a pod has, or will get, a proxy: its containers say it, else its labels, else its namespace's.

    ``otherwise`` is for a namespace of which nothing is known.
    """
    if pod.proxy is not None and pod.proxy.image:
        return True
    for said in (injected_by_labels(pod.labels), injected_by_labels(pod.annotations)):
        if said is not None:
            return said
    return otherwise if namespace_labels is None else is_injected(namespace_labels)


def is_injected(labels: Mapping[str, str]) -> bool:
    """Whether a namespace with these labels has its pods injected."""
    if NAMESPACE_LABEL in labels:
        return labels[NAMESPACE_LABEL] == "enabled"
    return bool(labels.get(REVISION_LABEL))


def is_ambient(labels: Mapping[str, str]) -> bool:
    """Whether a namespace is in ambient mode; a label for sidecars counts before."""
    if labels.get(NAMESPACE_LABEL) == "enabled" or labels.get(REVISION_LABEL):
        return False
    return labels.get(MODE_LABEL) == "ambient"

"""Files to objects: policies, services, workloads. What is not valid is a finding of its file and line, not the end."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mesh_policy import positions
from mesh_policy.analysis.codes import CODES
from mesh_policy.analysis.finding import Finding, Placed, dotted, found
from mesh_policy.base import Policy
from mesh_policy.errors import PolicyError, Problem
from mesh_policy.hosts import qualify
from mesh_policy.kinds import is_policy
from mesh_policy.load import objects, policy_of
from mesh_policy.objects import READERS, Object, ObjectError, read
from mesh_policy.objects.cluster import ConfigMap

if TYPE_CHECKING:  # it is read where a file holds it
    from mesh_policy.mesh_config import MeshConfig

CLUSTER_WIDE = frozenset({"Namespace", "Node", "CustomResourceDefinition", "GatewayClass"})
"""Kinds that stand in no namespace."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What files hold: the objects, and what is found about single ones.

    ``mesh`` is the configuration of the mesh where a ConfigMap among them has it.
    """

    objects: tuple[Placed[Policy | Object], ...] = ()
    findings: tuple[Finding, ...] = ()
    mesh: "MeshConfig | None" = None
    suppressed: frozenset[tuple[str, str]] = frozenset()
    """Subject and code (or ``*``) of what an annotation of an object that is not valid asks to leave out."""
    broken_hosts: frozenset[str] = frozenset()
    """Hosts that objects name that are not valid."""
    passed_over: tuple[str, ...] = ()
    """``SOURCE:LINE`` of each document of a folder that is no object (:func:`mesh_policy.load.objects`)."""


def read_inputs(texts: Iterable[tuple[str, str]], namespace: str = "default") -> Inputs:
    """The objects of YAML streams, given as source and text; ``namespace`` is that of objects that name none.

    Raises :class:`PolicyError` for what is not YAML.
    """
    reader = _Reader(namespace)
    unreadable: list[Problem] = []
    strange: list[Problem] = []
    passed_over: list[str] = []
    for document, source in objects(texts, unreadable, strange, passed_over):
        reader.take(document, source)
    if unreadable:
        raise PolicyError(unreadable)
    return reader.inputs(map(_no_object, strange), passed_over)


def _no_object(problem: Problem) -> Finding:
    message = f"is no object: {problem.message}"
    return Finding("IST0106", CODES["IST0106"].level, "object", "", message, problem.source, problem.line)


class _Reader:
    """Collects; the last of several objects of one name counts, as for ``kubectl apply``."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._objects: dict[str, Placed[Policy | Object]] = {}
        self._findings: list[Finding] = []
        self._mesh: MeshConfig | None = None
        self._suppressed: set[tuple[str, str]] = set()
        self._broken_hosts: set[str] = set()

    def inputs(self, more: Iterable[Finding], passed_over: Iterable[str]) -> Inputs:
        """What was collected, with further findings."""
        return Inputs(
            tuple(self._objects.values()),
            (*self._findings, *more),
            self._mesh,
            frozenset(self._suppressed),
            frozenset(self._broken_hosts),
            tuple(passed_over),
        )

    def take(self, document: positions.Document, source: str) -> None:
        """Take the object of a document, where it is of a kind that is looked at."""
        group, kind = document.value["apiVersion"].rpartition("/")[0], document.value["kind"]
        if not (is_policy(group, kind) or (group, kind) in READERS):
            return
        self._in_its_namespace(document.value)
        if _is_of_kubernetes(document.value):
            return
        try:
            loaded = policy_of(document, source)
            content = loaded.policy if loaded is not None else read(document.value)
        except PolicyError as error:
            self._not_valid(
                document, source, [(problem.field, problem.line, problem.message) for problem in error.problems]
            )
        except ObjectError as error:
            self._not_valid(document, source, [(dotted(error.path), document.line(error.path), error.message)])
        else:
            if content is not None:
                self._add(Placed(content, source, document))

    def _in_its_namespace(self, value: dict[str, Any]) -> None:
        metadata = value.get("metadata")
        if isinstance(metadata, dict) and value["kind"] not in CLUSTER_WIDE and not metadata.get("namespace"):
            metadata["namespace"] = self._namespace

    def _add(self, placed: Placed[Policy | Object]) -> None:
        former = self._objects.pop(placed.subject, None)
        self._objects[placed.subject] = placed
        if former is not None:
            where = (
                f"in line {placed.line()}" if former.source == placed.source else f"in {placed.source}:{placed.line()}"
            )
            self._findings.append(found("MESH0010", former, (), f"stands again {where}, which counts; remove one"))
        if isinstance(placed.value, ConfigMap) and placed.name == "istio" and "mesh" in placed.value.data:
            self._read_mesh(placed, placed.value.data["mesh"])

    def _read_mesh(self, placed: Placed[Policy | Object], text: str) -> None:
        from mesh_policy.mesh_config import read_mesh_config  # seldom needed, so late

        try:
            self._mesh = read_mesh_config(text)
        except PolicyError as error:
            for problem in error.problems:
                field = f"{problem.field}: " if problem.field else ""
                message = f"the mesh configuration is not valid, in its line {problem.line}: {field}{problem.message}"
                self._findings.append(found("IST0106", placed, ("data", "mesh"), message))

    def _not_valid(self, document: positions.Document, source: str, problems: Iterable[tuple[str, int, str]]) -> None:
        subject = _subject_of(document.value)
        self._broken_hosts |= set(_hosts_of(document.value))
        metadata = document.value.get("metadata")
        annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
        if isinstance(annotations, dict):
            self._suppressed |= {(subject, code) for code in suppressed_codes(annotations)}
        for field, line, message in problems:
            self._findings.append(Finding("IST0106", CODES["IST0106"].level, subject, field, message, source, line))


SUPPRESS = "galley.istio.io/analyze-suppress"
"""Annotation with codes, separated by commas, that are not to be told of an object; ``*`` for all."""


def suppressed_codes(annotations: Any) -> Iterator[str]:
    """The codes that annotations ask to leave out."""
    return (code for code in str(annotations.get(SUPPRESS) or "").split(",") if code)


def _hosts_of(value: dict[str, Any]) -> Iterator[str]:
    """The hosts that an object is about, as far as they can be read."""
    metadata, spec = value.get("metadata"), value.get("spec")
    if not isinstance(metadata, dict) or value["kind"] not in ("Service", "ServiceEntry", "DestinationRule"):
        return
    namespace = str(metadata.get("namespace") or "default")
    named = [metadata.get("name")] if value["kind"] == "Service" else []
    if isinstance(spec, dict):
        listed = spec.get("hosts")
        named += [spec.get("host"), *(listed if isinstance(listed, list) else ())]
    yield from (qualify(host, namespace) for host in named if isinstance(host, str) and host not in ("", "*"))


NOT_OF_THE_MESH = frozenset({"kube-system", "kube-public", "kube-node-lease", "local-path-storage"})
"""Namespaces of Kubernetes' own, which are looked at by nobody (Istio's rule)."""


def _is_of_kubernetes(value: dict[str, Any]) -> bool:
    metadata = value.get("metadata")
    name = "name" if value["kind"] == "Namespace" else "namespace"
    return isinstance(metadata, dict) and metadata.get(name) in NOT_OF_THE_MESH


def _subject_of(value: dict[str, Any]) -> str:
    metadata = value.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    group, kind, name = value["apiVersion"].rpartition("/")[0], value["kind"], metadata.get("name", "?")
    title = f"{kind}.{group}" if group == "gateway.networking.k8s.io" and kind == "Gateway" else kind
    return f"{title} {name}" if kind in CLUSTER_WIDE else f"{title} {metadata.get('namespace') or 'default'}/{name}"

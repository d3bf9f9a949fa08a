"""The collections of an API server that are mirrored, and how their objects are read. Pure."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mesh_control.rollouts import entries
from mesh_control.sources.kubernetes.reflector import Raw
from mesh_policy import KINDS, Policy, PolicyError, objects
from mesh_policy.load import policy_of
from mesh_policy.mesh_config import MeshConfig, MeshNetworks, read_mesh_config, read_mesh_networks
from mesh_policy.mesh_config.reading import MESH, NETWORKS
from mesh_policy.objects import Fields, ObjectError
from mesh_policy.positions import Document
from mesh_policy.schema.crds import NAMES
from mesh_policy.unsupported import NEVER

log = logging.getLogger("mesh_control.kubernetes")


@dataclass(frozen=True, slots=True)
class Collection:
    """One collection: all of the cluster, or that of a ``namespace``. ``fields`` is the field selector that narrows it."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    namespace: str = ""
    fields: str = ""

    @property
    def path(self) -> str:
        """Where the API server has it."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        return f"{root}/namespaces/{self.namespace}/{self.plural}" if self.namespace else f"{root}/{self.plural}"

    @property
    def title(self) -> str:
        """What people are told."""
        full = f"{self.plural}.{self.group}" if self.group else self.plural
        return f"{full} of {self.namespace}" if self.namespace else full


CORE = (
    Collection("", "v1", "namespaces", "Namespace", namespaced=False),
    Collection("", "v1", "nodes", "Node", namespaced=False),
    Collection("", "v1", "pods", "Pod", fields="status.phase!=Failed"),
    Collection("", "v1", "services", "Service"),
    Collection("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice"),
)
"""What every cluster has."""

DEFINITIONS = Collection(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
"""By which custom resources come and go."""

MESH_CONFIG = "ConfigMap of the mesh"
LAST_GOOD = "ConfigMap of the last good policies"
ROOT_MAPS = "ConfigMap of the mesh's roots"
RELEASES = "ConfigMap of the releases"
UNREAD = (LAST_GOOD, ROOT_MAPS, "ConfigMap")
"""Kinds of which nothing typed is made."""


def mesh_config(namespace: str, name: str) -> Collection:
    """The one ConfigMap that has the settings of the mesh."""
    return Collection("", "v1", "configmaps", MESH_CONFIG, True, namespace, f"metadata.name={name}")


CLUSTER_WIDE = ("GatewayClass",)


def plural_of(kind: type[Policy]) -> str:
    """How a kind's collection is called."""
    if kind.GROUP.endswith(".istio.io"):
        return NAMES[kind.KIND].plural
    return kind.KIND.lower() + ("es" if kind.KIND.endswith("s") else "s")


def is_policy(collection: Collection) -> bool:
    """Whether objects of a collection are policies, or of a kind that is answered with what to use instead."""
    return (collection.group, collection.kind) in KINDS or (collection.group, collection.kind) in NEVER


def custom(definitions: Mapping[str, Raw]) -> Iterator[Collection]:
    """The collections of policies that some definitions (by name) bring: each in the version that we would write, else in
    the first of ours that is served. Kinds that are never taken are among them: their objects are told so."""
    known = {place: (plural_of(kind), kind.VERSIONS) for place, kind in KINDS.items()} | NEVER
    for (group, name), (plural, versions) in sorted(known.items()):
        definition = definitions.get(f"{plural}.{group}")
        served = _served(definition) if definition is not None else ()
        version = next((version for version in versions if version in served), None)
        if version is not None:
            yield Collection(group, version, plural, name, namespaced=name not in CLUSTER_WIDE)


def _served(definition: Raw) -> tuple[str, ...]:
    """The versions that a definition serves; none until the server has taken it up."""
    conditions = definition.get("status", {}).get("conditions") or ()
    if not any(c.get("type") == "Established" and c.get("status") == "True" for c in conditions):
        return ()
    return tuple(version["name"] for version in definition["spec"]["versions"] if version.get("served"))


def trimmed(value: Raw) -> Raw:
    """An object without what nobody here reads and what is most of it: who wrote which field, and a definition's schema."""
    metadata = {name: item for name, item in (value.get("metadata") or {}).items() if name != "managedFields"}
    made: dict[str, Any] = {**value, "metadata": metadata}
    versions = (value.get("spec") or {}).get("versions")
    if isinstance(versions, list):
        kept = [{name: v.get(name) for name in ("name", "served")} for v in versions if isinstance(v, dict)]
        made["spec"] = {"versions": kept}
    return made


def unchanged(collection: Collection, former: Raw, value: Raw) -> bool:
    """Whether a policy says what it said before: it was only told what became of it, which does not change its generation."""
    if not is_policy(collection):
        return False
    one, other = former.get("metadata") or {}, value.get("metadata") or {}
    same = all(one.get(name) == other.get(name) for name in ("uid", "generation", "labels", "annotations"))
    return same and one.get("generation") is not None


class Unusable(ValueError):  # noqa: N818 (an answer, not a failure of ours)
    """An object that cannot be used; the message names it, the field and what to mend."""


def reader(collection: Collection, refuse: Callable[[Policy], list[str]]) -> Callable[[Raw], Any]:
    """What makes a typed object of one of the collection, or raises :class:`Unusable`. Lists do not say their items' kind."""
    read = _reader(collection, refuse)

    def guarded(value: Raw) -> Any:
        try:
            return read(value)
        except Unusable:
            raise
        except Exception as error:  # a defect of ours: one object must not end what serves all others
            log.exception("%s cannot be read", subject(collection, value))
            reason = f"cannot be read: {type(error).__name__}; take away what was changed last"
            raise Unusable(f"{subject(collection, value)}: {reason}") from None

    return guarded


def _reader(collection: Collection, refuse: Callable[[Policy], list[str]]) -> Callable[[Raw], Any]:
    if is_policy(collection):
        return lambda value: _policy(collection, value, refuse)
    if collection.kind == MESH_CONFIG:
        return lambda value: _mesh_config(collection, value)
    if collection.kind == RELEASES:
        return lambda value: _releases(collection, value)
    if collection.kind in UNREAD:
        return dict
    read = objects.READERS[collection.group, collection.kind]

    def made(value: Raw) -> objects.Object:
        try:
            return read(Fields.of(value))
        except ObjectError as error:
            field = ".".join(map(str, error.path))
            raise Unusable(f"{subject(collection, value)}: {field}: {error.message}") from None

    return made


@dataclass(frozen=True, slots=True)
class MeshOfConfigMap:
    """The settings of the mesh, and its networks where the ConfigMap has some."""

    mesh: MeshConfig
    networks: MeshNetworks | None


def _mesh_config(collection: Collection, value: Raw) -> MeshOfConfigMap:
    try:
        data = objects.read_config_map(Fields.of(value)).data
        networks = read_mesh_networks(data[NETWORKS], NETWORKS) if NETWORKS in data else None
        return MeshOfConfigMap(read_mesh_config(data.get(MESH, ""), MESH), networks)
    except PolicyError as error:
        told = (f"{p.source}:{p.line}: {p.field}: {p.message}" for p in error.problems)
        raise Unusable("\n".join(f"{subject(collection, value)}: {line}" for line in told)) from None
    except ObjectError as error:
        raise Unusable(f"{subject(collection, value)}: {'.'.join(map(str, error.path))}: {error.message}") from None


def releases(namespace: str) -> Collection:
    """The one ConfigMap that has the releases of a control plane of several replicas."""
    return Collection("", "v1", "configmaps", RELEASES, True, namespace, f"metadata.name={entries.NAME}")


def _releases(collection: Collection, value: Raw) -> entries.Released:
    try:
        return entries.Released.of(value)
    except entries.EntryError as error:
        raise Unusable(f"{subject(collection, value)}: {error}") from None


def _policy(collection: Collection, value: Raw, refuse: Callable[[Policy], list[str]]) -> Policy:
    version = f"{collection.group}/{collection.version}"
    try:
        found = policy_of(Document.of({**value, "apiVersion": version, "kind": collection.kind}), "kubernetes")
    except PolicyError as error:
        told = (
            f"{problem.field}: {problem.message}" if problem.field else problem.message for problem in error.problems
        )
        raise Unusable("\n".join(f"{subject(collection, value)}: {line}" for line in told)) from None
    if found is None:
        raise Unusable(f"{subject(collection, value)}: is no policy")
    if reasons := refuse(found.policy):
        raise Unusable("\n".join(reasons))
    return found.policy


def subject(collection: Collection, value: Raw) -> str:
    """``KIND NAMESPACE/NAME``."""
    metadata = value.get("metadata") or {}
    place = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
    return f"{collection.kind} {place}{metadata.get('name', '?')}"

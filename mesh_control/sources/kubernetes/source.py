"""A cluster as a source of the world: everything mirrored that matters, converted when somebody asks."""

import asyncio
import base64
import binascii
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar

from mesh_control.gateway_api import Surroundings
from mesh_control.gateway_api.converted import OWN
from mesh_control.rollouts.entries import Released
from mesh_control.sources.kubernetes import allotting, closed, last_good, root_maps, secrets
from mesh_control.sources.kubernetes.access import Access
from mesh_control.sources.kubernetes.api import Api
from mesh_control.sources.kubernetes.mirror import Mirror
from mesh_control.sources.kubernetes.reflector import Key
from mesh_control.sources.kubernetes.registry import Objects, Registry
from mesh_control.sources.kubernetes.resources import (
    CORE,
    DEFINITIONS,
    LAST_GOOD,
    MESH_CONFIG,
    RELEASES,
    ROOT_MAPS,
    Collection,
    MeshOfConfigMap,
    custom,
    is_policy,
    mesh_config,
    reader,
    releases,
)
from mesh_control.sources.kubernetes.rights import Rights, asking
from mesh_control.sources.kubernetes.surroundings import surroundings
from mesh_control.sources.kubernetes.versions import Versions
from mesh_control.sources.source import Parts
from mesh_policy import Policy
from mesh_policy.analysis.finding import subject as analysis_subject
from mesh_policy.unsupported import NEVER

NAMED = ("Secret", "ConfigMap")
"""Kinds of which only those are mirrored that policies name: for them wait only those who need them."""


@dataclass(slots=True)
class Cluster:
    """See the module's docstring: a :class:`~mesh_control.sources.source.Source`.

    ``namespaces`` are those that are looked at; none: all. ``refuse`` says why a policy that is valid cannot be honoured.
    ``mesh`` is the namespace and the name of the ConfigMap with the settings of the mesh; ``None``: it has none here.
    """

    name: ClassVar[str] = "kubernetes"
    access: Access
    namespaces: tuple[str, ...] = ()
    refuse: Callable[[Policy], list[str]] = lambda policy: []
    mesh: Key | None = None
    controller: str = OWN
    """As which controller of Gateways it acts (see :class:`~mesh_control.gateway_api.Surroundings`)."""
    gives_roots: bool = False
    """Whether the ConfigMaps with the mesh's roots are looked at, for whoever writes them."""
    has_releases: bool = False
    """Whether the releases of several replicas stand in ``home``, whose policies are in force."""
    home: str = ""
    """The namespace of the ConfigMap with what broken policies said before; empty: nothing is kept."""
    mirrors: dict[Collection, Mirror] = field(default_factory=dict, repr=False)
    beside: Callable[[], Iterable[str]] = tuple
    """Problems of whoever writes to the cluster."""
    version: str = ""
    """Which policies were read last, where several replicas compare it."""
    _rights: Rights = field(init=False)
    _versions: Versions = field(default_factory=Versions)
    _registry: Registry = field(default_factory=Registry)
    _synced: bool = False
    _secrets: frozenset[Key] = frozenset()
    _maps: frozenset[Key] = frozenset()
    _adjusted: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._rights = Rights(asking(self.access))
        settings = [] if self.mesh is None else [mesh_config(*self.mesh)]
        settings += [last_good.collection(self.home)] if self.home else []
        settings += [releases(self.home)] if self.home and self.has_releases else []
        settings += self._narrowed(root_maps.collection()) if self.gives_roots else []
        for collection in (DEFINITIONS, *settings, *(narrow for core in CORE for narrow in self._narrowed(core))):
            self.mirrors[collection] = self._mirror(collection)

    @property
    def synced(self) -> bool:
        """Whether every collection was listed once, those of the custom resources that are installed among them. For a Secret
        that is named, only those wait who need it."""
        if not self._synced:
            begun = all(collection in self.mirrors for collection in self._installed())
            known = (_is_known(c, mirror) for c, mirror in self.mirrors.items() if c.kind not in NAMED)
            self._synced = begun and all(known)
        return self._synced

    def read(self) -> Parts:
        """See :class:`~mesh_control.sources.source.Source`."""
        last_good.restore(self.mirrors, self.kept)
        self.version = self._versions.of(self.mirrors) if self.has_releases else ""
        known = Objects(
            self.typed("Service"),
            self.typed("EndpointSlice"),
            self.typed("Pod"),
            {name: node for (_, name), node in self.typed("Node").items()},
            {name: namespace for (_, name), namespace in self.typed("Namespace").items()},
        )
        services, workloads = self._registry.parts(known)
        released = self.released.policies
        taken = {policy.key for policy in released}
        policies = (*released, *(policy for _, policy in self.policies() if policy.key not in taken))
        named, maps = secrets.wanted(policies, workloads), secrets.config_maps(policies)
        if (named, maps) != (self._secrets, self._maps):
            self._secrets, self._maps = named, maps
            self._adjusted.set()
        settings: MeshOfConfigMap | None = next(iter(self.typed(MESH_CONFIG).values()), None)
        return Parts(
            services,
            workloads,
            policies,
            tuple(self._problems()),
            mesh=None if settings is None else settings.mesh,
            networks=None if settings is None else settings.networks,
            surroundings=self._surroundings(),
            allocated=allotting.said(self.mirrors),
        )

    @property
    def kept(self) -> last_good.Entries:
        """What was kept of broken policies."""
        return next((last_good.read(value) for value in self.typed(LAST_GOOD).values()), {})

    @property
    def released(self) -> Released:
        """The releases that stand there."""
        return next((known for known in self.typed(RELEASES).values()), Released())

    def _surroundings(self) -> Surroundings:
        shown = {"apiVersion": "v1"}
        values = [
            {**value, **shown, "kind": collection.kind}
            for collection, mirror in self.mirrors.items()
            if collection.kind in ("Namespace", *NAMED)
            for value in mirror.reflector.items.values()
        ]
        return replace(surroundings(values), controllers=frozenset({self.controller}))

    def content(self, kind: str, namespace: str, name: str) -> Mapping[str, bytes] | None:
        """See :class:`~mesh_control.secrets.desk.Keeper`; only what policies name is known."""
        for collection, mirror in self.mirrors.items():
            if collection.kind == kind and (value := mirror.reflector.items.get((namespace, name))) is not None:
                encoded = value.get("data" if kind == "Secret" else "binaryData") or {}
                plain = {} if kind == "Secret" else value.get("data") or {}
                return {**{key: text.encode() for key, text in plain.items()}, **dict(_decoded(encoded))}
        return None

    async def may_read(self, namespace: str, service_account: str) -> bool:
        """See :class:`~mesh_control.secrets.desk.Keeper`."""
        return await self._rights.may_list_secrets(namespace, service_account)

    def policies(self) -> Iterator[tuple[Collection, Policy]]:
        """Every policy that is in force, and the collection that it is of; also those that stand for what cannot be used."""
        for collection, mirror in self.mirrors.items():
            if is_policy(collection):
                in_force = (*mirror.typed.values(), *mirror.standing.values())
                yield from ((collection, policy) for policy in in_force)

    def raw(self, kind: str, key: Key) -> Mapping[str, Any] | None:
        """An object as the server has it, by its namespace and name; ``None``: there is none."""
        return next(
            (m.reflector.items[key] for c, m in self.mirrors.items() if c.kind == kind and key in m.reflector.items),
            None,
        )

    def typed(self, kind: str) -> Mapping[Key, Any]:
        """Every object of a kind that is no policy, as it was read."""
        found = [m.typed for c, m in self.mirrors.items() if c.kind == kind and not is_policy(c)]
        return found[0] if len(found) == 1 else {key: item for typed in found for key, item in typed.items()}

    def _problems(self) -> Iterator[str]:
        stale: dict[tuple[str, bool], list[str]] = {}
        for collection, mirror in self.mirrors.items():
            if told := mirror.reflector.problem:
                stale.setdefault((told, mirror.reflector.synced), []).append(collection.title)
        for (told, synced), titles in stale.items():
            stays = "what is known of them stays" if synced else "they are waited for"
            yield f"kubernetes: {', '.join(sorted(titles))}: {told}; {stays}"
        for mirror in self.mirrors.values():
            for told in mirror.broken.values():
                yield from told.splitlines()
        if self.mesh is not None and self.synced and not self.typed(MESH_CONFIG):
            yield f"kubernetes: ConfigMap {'/'.join(self.mesh)}: is not there; the mesh has the settings of one without any"
        taken = {policy.key for policy in self.released.policies}
        for _, policy in self.policies() if taken else ():
            if policy.key in taken:
                yield f"{analysis_subject(policy)}: a release of its service has it, and that one counts; remove one"
        yield from self.beside()

    async def watch(self, changed: Callable[[], None]) -> None:
        """See :class:`~mesh_control.sources.source.Source`."""
        tasks: dict[Collection, asyncio.Task[None]] = {}

        def definitions_changed() -> None:
            self._adjusted.set()
            changed()

        async with AsyncExitStack() as stack:
            api = await stack.enter_async_context(Api(self.access))
            group = await stack.enter_async_context(asyncio.TaskGroup())
            for collection, mirror in self.mirrors.items():
                tell = definitions_changed if collection == DEFINITIONS else changed
                tasks[collection] = group.create_task(mirror.run(api, tell), name=collection.title)
            while True:
                self._adjust(api, group, tasks, changed)
                await self._adjusted.wait()
                self._adjusted.clear()

    def _adjust(
        self,
        api: Api,
        group: asyncio.TaskGroup,
        tasks: dict[Collection, "asyncio.Task[None]"],
        changed: Callable[[], None],
    ) -> None:
        """Mirror the custom resources that are installed, and Secrets and ConfigMaps that are named, and no others."""
        wanted = [*self._installed(), *secrets.collections(self._secrets, self._maps)]
        passing = [c for c in self.mirrors if is_policy(c) or c.kind in NAMED]
        for collection in [collection for collection in passing if collection not in wanted]:
            tasks.pop(collection).cancel()
            del self.mirrors[collection]
            changed()
        for collection in wanted:
            if collection not in self.mirrors:
                mirror = self.mirrors[collection] = self._mirror(collection)
                tasks[collection] = group.create_task(mirror.run(api, changed), name=collection.title)

    def _installed(self) -> list[Collection]:
        items = self.mirrors[DEFINITIONS].reflector.items
        definitions = {name: value for (_, name), value in items.items()}
        return [narrow for collection in custom(definitions) for narrow in self._narrowed(collection)]

    def _narrowed(self, collection: Collection) -> list[Collection]:
        if not collection.namespaced or not self.namespaces:
            return [collection]
        c = collection
        return [Collection(c.group, c.version, c.plural, c.kind, True, name, c.fields) for name in self.namespaces]

    def _mirror(self, collection: Collection) -> Mirror:
        read = reader(collection, self.refuse) if collection != DEFINITIONS else dict
        return Mirror(collection, read, partial(closed.shut, collection))


def _is_known(collection: Collection, mirror: Mirror) -> bool:
    """What may not be read is not waited for where the mesh does without: then nothing is kept over a restart, or objects
    that come into force nowhere are not told so. Of the roots in namespaces the world has nothing."""
    spared = collection.kind in (LAST_GOOD, ROOT_MAPS) or (collection.group, collection.kind) in NEVER
    return mirror.reflector.synced or (spared and mirror.reflector.forbidden)


def _decoded(data: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    for key, text in data.items():
        try:
            yield key, base64.b64decode(text)
        except (binascii.Error, TypeError, ValueError):
            continue

"""A cluster as a source of the world: everything mirrored that matters, converted when somebody asks."""

import asyncio
import base64
import binascii
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, ClassVar

from mesh_control.gateway_api import Surroundings
from mesh_control.sources.kubernetes import secrets
from mesh_control.sources.kubernetes.access import Access
from mesh_control.sources.kubernetes.api import Api
from mesh_control.sources.kubernetes.mirror import Mirror
from mesh_control.sources.kubernetes.reflector import Key
from mesh_control.sources.kubernetes.registry import Objects, Registry
from mesh_control.sources.kubernetes.resources import (
    CORE,
    DEFINITIONS,
    MESH_CONFIG,
    Collection,
    custom,
    mesh_config,
    reader,
)
from mesh_control.sources.kubernetes.rights import Rights, asking
from mesh_control.sources.kubernetes.surroundings import surroundings
from mesh_control.sources.source import Parts
from mesh_policy import KINDS, Policy


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
    mirrors: dict[Collection, Mirror] = field(default_factory=dict)
    beside: Callable[[], Iterable[str]] = tuple
    """Problems of whoever writes to the cluster."""
    _rights: Rights = field(init=False)
    _registry: Registry = field(default_factory=Registry)
    _synced: bool = False
    _secrets: frozenset[Key] = frozenset()
    _adjusted: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._rights = Rights(asking(self.access))
        settings = () if self.mesh is None else (mesh_config(*self.mesh),)
        for collection in (DEFINITIONS, *settings, *(narrow for core in CORE for narrow in self._narrowed(core))):
            self.mirrors[collection] = self._mirror(collection)

    @property
    def synced(self) -> bool:
        """Whether every collection was listed once, those of the custom resources that are installed among them. For a Secret
        that is named, only those wait who need it."""
        if not self._synced:
            begun = all(collection in self.mirrors for collection in self._installed())
            known = (mirror.reflector.synced for c, mirror in self.mirrors.items() if c.kind != "Secret")
            self._synced = begun and all(known)
        return self._synced

    def read(self) -> Parts:
        """See :class:`~mesh_control.sources.source.Source`."""
        known = Objects(
            self._of("Service"),
            self._of("EndpointSlice"),
            self._of("Pod"),
            {name: node for (_, name), node in self._of("Node").items()},
            {name: namespace for (_, name), namespace in self._of("Namespace").items()},
        )
        services, workloads = self._registry.parts(known)
        policies = tuple(policy for _, policy in self.policies())
        if (named := secrets.wanted(policies, workloads)) != self._secrets:
            self._secrets = named
            self._adjusted.set()
        mesh = next(iter(self._of(MESH_CONFIG).values()), None)
        return Parts(
            services, workloads, policies, tuple(self._problems()), mesh=mesh, surroundings=self._surroundings()
        )

    def _surroundings(self) -> Surroundings:
        shown = {"apiVersion": "v1"}
        values = [
            {**value, **shown, "kind": collection.kind}
            for collection, mirror in self.mirrors.items()
            if collection.kind in ("Namespace", "Secret")
            for value in mirror.reflector.items.values()
        ]
        return surroundings(values)

    def content(self, kind: str, namespace: str, name: str) -> Mapping[str, bytes] | None:
        """See :class:`~mesh_control.secrets.desk.Keeper`; only Secrets that policies name are known."""
        for collection, mirror in self.mirrors.items():
            if collection.kind == kind and (value := mirror.reflector.items.get((namespace, name))) is not None:
                return dict(_decoded(value.get("data") or {})) if kind == "Secret" else None
        return None

    async def may_read(self, namespace: str, service_account: str) -> bool:
        """See :class:`~mesh_control.secrets.desk.Keeper`."""
        return await self._rights.may_list_secrets(namespace, service_account)

    def policies(self) -> Iterator[tuple[Collection, Policy]]:
        """Every policy that is in force, and the collection that it is of."""
        for collection, mirror in self.mirrors.items():
            if (collection.group, collection.kind) in KINDS:
                yield from ((collection, policy) for policy in mirror.typed.values())

    def _of(self, kind: str) -> Mapping[Key, Any]:
        found = [m.typed for c, m in self.mirrors.items() if c.kind == kind and (c.group, kind) not in KINDS]
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
        if self.mesh is not None and self.synced and not self._of(MESH_CONFIG):
            yield f"kubernetes: ConfigMap {'/'.join(self.mesh)}: is not there; the mesh has the settings of one without any"
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
        """Mirror the custom resources that are installed and the Secrets that are named, and no others."""
        wanted = [*self._installed(), *secrets.collections(self._secrets)]
        passing = [c for c in self.mirrors if (c.group, c.kind) in KINDS or c.kind == "Secret"]
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
        return Mirror(collection, read)


def _decoded(data: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    for key, text in data.items():
        try:
            yield key, base64.b64decode(text)
        except (binascii.Error, TypeError, ValueError):
            continue

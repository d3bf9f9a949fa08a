"""Telling objects of a cluster what became of them: the shell around ``status``, at work in the replica that leads."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from mesh_control.conditions import Condition
from mesh_control.injection.uninjected import REASON as NOT_INJECTED
from mesh_control.injection.uninjected import uninjected
from mesh_control.sources.kubernetes import allotting, gateway_objects, last_good, root_maps, status
from mesh_control.sources.kubernetes.api import APPLY, MERGE, Api, ApiError
from mesh_control.sources.kubernetes.leader import Leader
from mesh_control.sources.kubernetes.reflector import Key, Raw
from mesh_control.sources.kubernetes.resources import Collection, is_policy
from mesh_control.sources.kubernetes.source import Cluster
from mesh_control.sources.kubernetes.status import Budget, Event, Proxies
from mesh_control.world import World
from mesh_policy import Policy

MANAGER = "meshwright"
"""The one field manager of server-side apply."""
WRITES_PER_SECOND, BURST = 10.0, 50.0
WORDS_SECONDS = 10.0
"""The least time between two writes of an object of which only the second's messages differ."""
LOOK_SECONDS = 1.0
"""How often is looked for what has to be told."""
NOT_FOUND, CONFLICT = 404, 409


@dataclass(frozen=True, slots=True)
class View:
    """What the control plane is doing: its newest configuration's version and policies, by their key, and the proxies."""

    version: str
    policies: Mapping[tuple[str, str, str], Policy]
    proxies: Proxies
    world: World = field(default_factory=World)


@dataclass(frozen=True, slots=True)
class Due:
    """A status that is to be written, and what is to be told of the change. ``merged``: the object's former status is
    replaced where it is another one, unless somebody wrote in between; else the fields become our manager's."""

    collection: Collection
    key: Key
    value: Raw
    status: dict[str, Any]
    event: Event | None
    merged: bool = False


@dataclass(slots=True)
class Reporter:
    """``view`` tells what is the case, and ``changed`` is called when :meth:`problems` says something else."""

    cluster: Cluster
    leader: Leader
    view: Callable[[], View]
    changed: Callable[[], None] = lambda: None
    bundle: Callable[[], str] = str
    """Gives the roots (PEM) that every namespace is to have; empty: none."""
    beside: Callable[[], str] = str
    """A problem of whoever else writes to the cluster; empty: there is none."""
    ready: Callable[[], bool] = lambda: True
    """Whether ``view`` knows of everybody, once this replica leads."""
    look: float = LOOK_SECONDS
    clock: Callable[[], float] = time.monotonic
    today: Callable[[], float] = time.time
    problem: str = ""
    injects: str = ""
    """The namespace of the control plane, where API servers ask it for proxies; empty: they do not."""
    budget: Budget = field(default_factory=lambda: Budget(WRITES_PER_SECOND, BURST))
    _asked: dict[tuple[Collection, Key], tuple[str, float]] = field(default_factory=dict)
    """By the object, the version of which a status was written, and when: nothing more is written of that version."""
    _memo: gateway_objects.Memo = field(default_factory=gateway_objects.Memo)
    _allotter: allotting.Allotter = field(default_factory=allotting.Allotter)
    _uninjected: set[str] = field(default_factory=set)
    """Ids of pods without their proxy of which that was told."""
    _unkept: str = ""
    """Why what broken policies said before is not kept."""
    _settled: tuple[object, ...] = ()
    """The state of things in which there was nothing to tell."""

    def __post_init__(self) -> None:
        self.cluster.beside = self.problems

    def problems(self) -> list[str]:
        """Why nothing can be written, if so."""
        return [problem for problem in (self.leader.problem, self.problem, self._unkept, self.beside()) if problem]

    async def run(self) -> None:
        """Take part in the election and tell, for ever."""
        async with Api(self.cluster.access) as api, asyncio.TaskGroup() as group:
            group.create_task(self.leader.run(api), name="leader")
            group.create_task(self._tell(api), name="status")

    async def _tell(self, api: Api) -> None:
        told: list[str] = []
        while True:
            if self.leader.leads and self.cluster.synced and self.ready():
                await self.tell(api)
            if self.problems() != told:
                told = self.problems()
                self.changed()
            await asyncio.sleep(self.look)

    async def tell(self, api: Api) -> None:
        """Write every status that is not what it should be, as far as the rate of writes allows."""
        view = self.view()
        bundle, changes = self.bundle(), tuple(mirror.changes for mirror in self.cluster.mirrors.values())
        state = (view.version, view.proxies, changes, bundle)
        if state == self._settled:
            return
        self._settled = state
        await self._keep(api)
        problem = await self._give_roots(api, bundle) or await self._allot(api, view)
        for due in chain(self._due(view), self._due_of_gateway_api(view)):
            self._settled = ()
            if not self.leader.leads or not self.budget.take(self.clock()):
                break
            try:
                await self._write(api, due)
            except ApiError as error:
                if error.status not in (NOT_FOUND, CONFLICT):  # just deleted, or written by another: then once more
                    problem = f"kubernetes: {due.collection.title}: status cannot be written: {error.message}"
        problem = await self._tell_of_pods(api) or problem
        self.problem = await self._make_class(api) or problem

    async def _tell_of_pods(self, api: Api) -> str:
        """Tell once of each pod that runs without the proxy that it should have; returns what is wrong."""
        if not self.injects:
            return ""
        namespaces = {name: item.meta.labels for (_, name), item in self.cluster.typed("Namespace").items()}
        found = {
            str((value.get("metadata") or {}).get("uid")): (value, message)
            for pod, message in uninjected(namespaces, self.cluster.typed("Pod").values(), self.injects)
            if (value := self.cluster.raw("Pod", (pod.meta.namespace, pod.meta.name))) is not None
        }
        self._uninjected &= found.keys()
        for uid, (value, message) in found.items():
            if uid in self._uninjected:
                continue
            self._settled = ()
            if not self.leader.leads or not self.budget.take(self.clock()):
                break
            told = Event(True, NOT_INJECTED, message)
            body = status.event_object(value, "v1", "Pod", told, self._now(), self.leader.election.identity)
            try:
                await api.request("POST", f"/api/v1/namespaces/{body['metadata']['namespace']}/events", body)
            except ApiError as error:
                if error.status != NOT_FOUND:
                    return f"kubernetes: events of pods without a proxy cannot be written: {error.message}"
            self._uninjected.add(uid)
        return ""

    async def _keep(self, api: Api) -> None:
        """Keep what broken policies said before, first of all: then they are told whether it outlives this process."""
        stored = self.cluster.kept
        wanted = last_good.wanted(self.cluster.mirrors, stored)
        self._unkept = ""
        if not self.cluster.home or wanted == stored:
            return
        self._settled = ()
        metadata = {"name": last_good.NAME, "namespace": self.cluster.home}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": wanted}
        path = f"/api/v1/namespaces/{self.cluster.home}/configmaps/{last_good.NAME}"
        try:
            await api.request("PATCH", path, body, {"fieldManager": MANAGER, "force": "true"}, APPLY)
        except ApiError as error:
            self._unkept = (
                f"kubernetes: ConfigMap {self.cluster.home}/{last_good.NAME}: cannot be written: {error.message}; "
                "what broken policies said before is forgotten when this process ends"
            )

    async def _allot(self, api: Api, view: View) -> str:
        """Give addresses to hosts of ServiceEntries that have none, in the status of these; returns what is wrong."""
        problem = ""
        for place, key, value, hosts in self._allotter.due(self.cluster.mirrors, view.world):
            self._settled = ()
            if not self.leader.leads or not self.budget.take(self.clock()):
                break
            path, body = allotting.patch(place, key, value, hosts)
            try:
                await api.request("PATCH", path, body, {"fieldManager": allotting.MANAGER, "force": "true"}, APPLY)
                self._allotter.written(key, value, hosts)
            except ApiError as error:
                if error.status not in (NOT_FOUND, CONFLICT):
                    problem = f"kubernetes: {place.title}: addresses cannot be written: {error.message}"
        return problem

    async def _give_roots(self, api: Api, bundle: str) -> str:
        """Put the mesh's roots where pods find them; returns what is wrong."""
        for namespace in root_maps.due(self.cluster.mirrors, bundle):
            self._settled = ()
            if not self.leader.leads or not self.budget.take(self.clock()):
                break
            path, body = root_maps.patch(namespace, bundle)
            try:
                await api.request("PATCH", path, body, {"fieldManager": MANAGER, "force": "true"}, APPLY)
            except ApiError as error:
                if error.status not in (NOT_FOUND, CONFLICT) and "being terminated" not in error.message:
                    return f"kubernetes: ConfigMap {namespace}/{root_maps.NAME}: cannot be written: {error.message}"
        return ""

    async def _make_class(self, api: Api) -> str:
        """Where the Gateway API is installed, our GatewayClass is there, as with Istio; returns what is wrong."""
        wanted = gateway_objects.missing_class(self.cluster)
        if wanted is None:
            return ""
        self._settled = ()
        try:
            await api.request("POST", gateway_objects.CLASSES_PATH, wanted)
        except ApiError as error:
            if error.status != CONFLICT:  # another replica was here before
                return f"kubernetes: GatewayClass {wanted['metadata']['name']}: cannot be made: {error.message}"
        return ""

    def _due_of_gateway_api(self, view: View) -> Iterator[Due]:
        for told in gateway_objects.told(self.cluster, view.world, view.proxies, self._now(), self._memo):
            if self._asked.get((told.collection, told.key), ("", 0.0))[0] != _version(told.value):
                yield Due(told.collection, told.key, told.value, told.status, told.event, merged=True)

    def _due(self, view: View) -> Iterator[Due]:
        self._asked = {place: asked for place, asked in self._asked.items() if self._is_there(*place)}
        for collection, mirror in list(self.cluster.mirrors.items()):
            if not is_policy(collection) or not collection.group.endswith(".istio.io"):
                continue  # those of the Gateway API have statuses of other forms (gateway_objects)
            for key, value in list(mirror.reflector.items.items()):
                problem = mirror.broken.get(key, "")
                if problem and self._unkept and key in mirror.good:
                    problem += " until the control plane starts again: it cannot be kept"
                wanted = _wanted(mirror.typed.get(key), problem, view)
                if self._is_due(collection, key, value, wanted):
                    made = status.status(value, wanted, self._now())
                    yield Due(collection, key, value, made or {}, status.event(value, wanted))

    def _is_there(self, collection: Collection, key: Key) -> bool:
        return collection in self.cluster.mirrors and key in self.cluster.mirrors[collection].reflector.items

    def _is_due(self, collection: Collection, key: Key, value: Raw, wanted: tuple[Condition, ...]) -> bool:
        version, at = self._asked.get((collection, key), ("", float("-inf")))
        if version == _version(value) or status.status(value, wanted, self._now()) is None:
            return False
        if self.clock() - at < WORDS_SECONDS and status.only_words(value, wanted):
            self._settled = ()  # it is only put off
            return False
        return True

    async def _write(self, api: Api, due: Due) -> None:
        collection, (namespace, name), value = due.collection, due.key, due.value
        version, now = f"{collection.group}/{collection.version}", self._now()
        place = replace(collection, namespace=namespace)
        path = f"{place.path}/{name}/status"
        if due.merged:
            # Lists in it belong to several controllers: the version keeps what another one has just written.
            body: dict[str, Any] = {"metadata": {"resourceVersion": _version(value)}, "status": due.status}
            await api.request("PATCH", path, body, {"fieldManager": MANAGER}, MERGE)
        else:
            metadata = {"name": name, "namespace": namespace}
            body = {"apiVersion": version, "kind": collection.kind, "metadata": metadata, "status": due.status}
            await api.request("PATCH", path, body, {"fieldManager": MANAGER, "force": "true"}, APPLY)
        self._asked[collection, due.key] = _version(value), self.clock()
        if due.event is not None:
            made = status.event_object(value, version, collection.kind, due.event, now, self.leader.election.identity)
            await api.request("POST", f"/api/v1/namespaces/{made['metadata']['namespace']}/events", made)

    def _now(self) -> str:
        return datetime.fromtimestamp(self.today(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _wanted(policy: Policy | None, problem: str, view: View) -> tuple[Condition, ...]:
    known = None if policy is None else view.policies.get(policy.key)
    in_force = known is not None and (known is policy or known == policy)
    plain = "\n".join(line.removeprefix("kubernetes: ") for line in problem.splitlines())
    return status.conditions(plain, in_force, view.proxies)


def _version(value: Raw) -> str:
    return str((value.get("metadata") or {}).get("resourceVersion") or "")

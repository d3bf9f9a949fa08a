"""Telling objects of a cluster what became of them: the shell around ``status``, at work in the replica that leads."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from mesh_control.sources.kubernetes import status
from mesh_control.sources.kubernetes.api import APPLY, Api, ApiError
from mesh_control.sources.kubernetes.leader import Leader
from mesh_control.sources.kubernetes.reflector import Key, Raw
from mesh_control.sources.kubernetes.resources import Collection
from mesh_control.sources.kubernetes.source import Cluster
from mesh_control.sources.kubernetes.status import Budget, Condition, Proxies
from mesh_policy import KINDS, Policy

MANAGER = "meshwright"
"""The one field manager of server-side apply."""
WRITES_PER_SECOND, BURST = 10.0, 50.0
WORDS_SECONDS = 10.0
"""The least time between two writes of an object of which only the second's messages differ."""
LOOK_SECONDS = 1.0
"""How often is looked for what has to be told."""
NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class View:
    """What the control plane is doing: its newest configuration's version and policies, by their key, and the proxies."""

    version: str
    policies: Mapping[tuple[str, str, str], Policy]
    proxies: Proxies


@dataclass(slots=True)
class Reporter:
    """``view`` tells what is the case, and ``changed`` is called when :meth:`problems` says something else."""

    cluster: Cluster
    leader: Leader
    view: Callable[[], View]
    changed: Callable[[], None] = lambda: None
    look: float = LOOK_SECONDS
    clock: Callable[[], float] = time.monotonic
    today: Callable[[], float] = time.time
    problem: str = ""
    budget: Budget = field(default_factory=lambda: Budget(WRITES_PER_SECOND, BURST))
    _asked: dict[tuple[Collection, Key], tuple[str, float]] = field(default_factory=dict)
    """By the object, the version of which a status was written, and when: nothing more is written of that version."""
    _settled: tuple[object, ...] = ()
    """The state of things in which there was nothing to tell."""

    def __post_init__(self) -> None:
        self.cluster.beside = self.problems

    def problems(self) -> list[str]:
        """Why nothing can be written, if so."""
        return [problem for problem in (self.leader.problem, self.problem) if problem]

    async def run(self) -> None:
        """Take part in the election and tell, for ever."""
        async with Api(self.cluster.access) as api, asyncio.TaskGroup() as group:
            group.create_task(self.leader.run(api), name="leader")
            group.create_task(self._tell(api), name="status")

    async def _tell(self, api: Api) -> None:
        told: list[str] = []
        while True:
            if self.leader.leads and self.cluster.synced:
                await self.tell(api)
            if self.problems() != told:
                told = self.problems()
                self.changed()
            await asyncio.sleep(self.look)

    async def tell(self, api: Api) -> None:
        """Write every status that is not what it should be, as far as the rate of writes allows."""
        view = self.view()
        state = (view.version, view.proxies, tuple(mirror.changes for mirror in self.cluster.mirrors.values()))
        if state == self._settled:
            return
        self._settled, problem = state, ""
        for collection, key, value, wanted in self._due(view):
            self._settled = ()
            if not self.leader.leads or not self.budget.take(self.clock()):
                break
            try:
                await self._write(api, collection, key, value, wanted)
            except ApiError as error:
                if error.status != NOT_FOUND:  # it has just been deleted
                    problem = f"kubernetes: {collection.title}: status cannot be written: {error.message}"
        self.problem = problem

    def _due(self, view: View) -> Iterator[tuple[Collection, Key, Raw, tuple[Condition, ...]]]:
        self._asked = {place: asked for place, asked in self._asked.items() if self._is_there(*place)}
        for collection, mirror in list(self.cluster.mirrors.items()):
            if (collection.group, collection.kind) not in KINDS or not collection.group.endswith(".istio.io"):
                continue  # those of the Gateway API have statuses of other forms
            for key, value in list(mirror.reflector.items.items()):
                wanted = _wanted(mirror.typed.get(key), mirror.broken.get(key, ""), view)
                if self._is_due(collection, key, value, wanted):
                    yield collection, key, value, wanted

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

    async def _write(
        self, api: Api, collection: Collection, key: Key, value: Raw, wanted: tuple[Condition, ...]
    ) -> None:
        namespace, name = key
        version, now = f"{collection.group}/{collection.version}", self._now()
        place = Collection(collection.group, collection.version, collection.plural, collection.kind, True, namespace)
        body: dict[str, Any] = {
            "apiVersion": version,
            "kind": collection.kind,
            "metadata": {"name": name, "namespace": namespace},
            "status": status.status(value, wanted, now),
        }
        query = {"fieldManager": MANAGER, "force": "true"}
        await api.request("PATCH", f"{place.path}/{name}/status", body, query, APPLY)
        self._asked[collection, key] = _version(value), self.clock()
        if (told := status.event(value, wanted)) is not None:
            made = status.event_object(value, version, collection.kind, told, now, self.leader.election.identity)
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

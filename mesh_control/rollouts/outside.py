"""Releases of a cluster for whoever has a login of it, and stands at no replica of its control plane.

Orders are given as replicas give them, as changes of the object that all of them read, and the one that leads moves what
stands there. What a replica would refuse by its world the API server is asked about: it is to make the policies without
keeping them, so that it says which objects are there, and its webhook what the control plane thinks of them.
"""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from mesh_control.client import ControlError
from mesh_control.rollouts import entries, orders, replicas
from mesh_control.rollouts.entries import Entries, Entry, EntryError
from mesh_control.rollouts.orders import CONFLICT, NOT_FOUND, Act, Made
from mesh_control.rollouts.runner import RolloutError, shown
from mesh_control.sources.kubernetes.access import Access
from mesh_control.sources.kubernetes.api import Api, ApiError
from mesh_control.sources.kubernetes.config_maps import ConfigMaps
from mesh_control.sources.kubernetes.resources import plural_of
from mesh_policy import Policy, json_text
from mesh_policy.analysis.finding import subject
from mesh_policy.releases.machine import Order, Rollout

UNPROCESSABLE = 422
JUDGED = (400, 403, NOT_FOUND, UNPROCESSABLE)
"""Statuses by which an API server says that it does not take an object from this user."""


@dataclass(frozen=True, slots=True)
class ClusterReleases:
    """Answers as :class:`~mesh_control.client.ControlClient` about releases. ``namespace`` is the control plane's; ``clock``
    gives seconds since the epoch. Everything raises :class:`~mesh_control.client.ControlError`."""

    access: Access
    namespace: str
    clock: Callable[[], float] = time.time

    async def rollouts(self) -> dict[str, Any]:
        """Every release by name."""
        async with self._maps() as maps:
            return {name: _shown(entry) for name, entry in (await _present(maps)).items()}

    async def rollout(self, name: str) -> dict[str, Any]:
        """Where a release is, as it was written down last: a weight at once, measurements every few seconds."""
        async with self._maps() as maps:
            return _shown(orders.required(await _present(maps), name))

    async def start_rollout(self, text: str) -> dict[str, Any]:
        """Begin a release, given as the JSON of :class:`mesh_policy.releases.machine.Rollout`."""
        rollout, now = Rollout.model_validate(json_text.parse(text)), self.clock()
        async with self._maps() as maps:
            known = (await _present(maps)).get(rollout.name)
            entry = entries.begun(rollout, known, now)
            problems = [] if entry == known else await _refused(maps.api, entry)
            return _shown(await _changed(maps, rollout.name, orders.beginning(rollout, now, lambda _: problems)))

    async def order_rollout(self, name: str, order: str, reason: str = "") -> dict[str, Any]:
        """Give a release an order: ``pause``, ``resume``, ``promote`` or ``abort``."""
        async with self._maps() as maps:
            return _shown(await _changed(maps, name, orders.ordered(name, Order(order), self.clock(), reason)))

    async def remove_rollout(self, name: str) -> None:
        """Forget a release that has ended, and take its policies away."""
        async with self._maps() as maps:
            await _changed(maps, name, orders.removed(name))

    @asynccontextmanager
    async def _maps(self) -> AsyncIterator[ConfigMaps]:
        """The objects in which replicas tell of themselves, which must be there."""
        try:
            async with Api(self.access) as api:
                maps = ConfigMaps(api, self.namespace)
                if not (await maps.read(replicas.NAME))[0]:
                    raise ControlError(
                        f"no control plane tells of itself in the namespace {self.namespace} (ConfigMap {replicas.NAME}): "
                        f"name its namespace, and see whether its pods are ready",
                        NOT_FOUND,
                    )
                yield maps
        except ApiError as error:
            raise ControlError(error.message, error.status) from None
        except EntryError as error:
            raise ControlError(f"ConfigMap {entries.NAME}: {error}", CONFLICT) from None
        except RolloutError as error:
            raise ControlError(str(error), error.status) from None


def _shown(entry: Entry) -> dict[str, Any]:
    return shown(entry.rollout, entry.state)


async def _present(maps: ConfigMaps) -> Entries:
    return entries.read({"data": (await maps.read(entries.NAME))[0]})


async def _changed(maps: ConfigMaps, name: str, act: Act[Made]) -> Made:
    async def write(entry: Entry | None, data: Mapping[str, str], version: str, present: Entries) -> None:
        if present.get(name) != entry:
            await orders.put(maps, name, entry, data, version)

    return await orders.changed(maps, act, write)


async def _refused(api: Api, entry: Entry) -> list[str]:
    """Why a release could not begin: there is no such service, or the cluster would not take its policies."""
    release = entry.rollout.release
    problems = [problem for policy in entry.policies() if (problem := await _problem(api, policy))]
    try:
        await api.request("GET", f"/api/v1/namespaces/{release.namespace}/services/{release.service}")
    except ApiError as error:
        if error.status != NOT_FOUND:
            raise
        problems.append(f"there is no Service {release.service} in the namespace {release.namespace}")
    return problems


async def _problem(api: Api, policy: Policy) -> str:
    """Why the cluster would not take a policy as an object; empty: it would."""
    document = policy.to_document()
    namespace = document["metadata"]["namespace"]
    path = f"/apis/{document['apiVersion']}/namespaces/{namespace}/{plural_of(type(policy))}"
    try:
        await api.request("POST", path, document, {"dryRun": "All"})
    except ApiError as error:
        if error.status == CONFLICT:
            return orders.taken(policy)
        if error.status not in JUDGED:
            raise
        return f"{subject(policy)}: {error.message}"
    return ""

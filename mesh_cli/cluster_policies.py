"""Whether the policies of a cluster are in force, as their conditions say (``mesh wait --kubeconfig``)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mesh_control.sources.kubernetes.api import Api

LOOK_SECONDS = 0.3
"""Seconds between two looks."""
NOT_FOUND = 404
Object = Mapping[str, Any]


class NotInForceError(RuntimeError):
    """The time is over; the message has a line for each policy that is not in force, and why."""


def waiting(kind: str, value: Object) -> str:
    """Why a policy is not in force yet; empty: every proxy has taken it."""
    metadata, status = value.get("metadata") or {}, value.get("status") or {}
    subject = f"{kind} {metadata.get('namespace', 'default')}/{metadata.get('name')}"
    if status.get("observedGeneration") != metadata.get("generation"):
        return f"{subject}: the control plane has not said yet what became of it"
    found = {item.get("type"): item for item in status.get("conditions") or ()}
    for name in ("Accepted", "Programmed"):
        condition = found.get(name)
        if condition is None or condition.get("status") != "True":
            told = condition or {}
            return f"{subject}: {told.get('reason', 'not known')}: {told.get('message', '')}".rstrip(": ")
    return ""


def named(subjects: Iterable[str], kind: str, values: Iterable[Object]) -> Iterator[Object]:
    """Of some objects of a kind those that are meant (``KIND NAMESPACE/NAME``); all where nobody is named."""
    wanted = set(subjects)
    for value in values:
        metadata = value["metadata"]
        if not wanted or f"{kind} {metadata.get('namespace', 'default')}/{metadata['name']}" in wanted:
            yield value


async def until_in_force(api: Api, subjects: tuple[str, ...], seconds: float) -> int:
    """Waits until the policies of Istio's kinds are in force; returns how many they are.

    ``subjects``: only these (``KIND NAMESPACE/NAME``), which have to be there. Raises :class:`NotInForceError`, and
    :class:`~mesh_control.sources.kubernetes.api.ApiError`.
    """
    deadline = time.monotonic() + seconds
    while True:
        problems, there = [], set()
        async for kind, value in _policies(api, {subject.partition(" ")[0] for subject in subjects}):
            for found in named(subjects, kind, [value]):
                there.add(f"{kind} {found['metadata'].get('namespace', 'default')}/{found['metadata']['name']}")
                if problem := waiting(kind, found):
                    problems.append(problem)
        problems += [f"{subject}: there is none in the cluster" for subject in subjects if subject not in there]
        if not problems:
            return len(there)
        if time.monotonic() >= deadline:
            raise NotInForceError("\n".join(problems))
        await asyncio.sleep(LOOK_SECONDS)


async def _policies(api: Api, kinds: set[str]) -> Any:
    """Every policy of Istio's groups, with its kind; ``kinds`` narrows them down."""
    from mesh_control.sources.kubernetes.api import ApiError
    from mesh_control.sources.kubernetes.resources import plural_of
    from mesh_policy.kinds import KINDS

    for (group, _), kind in KINDS.items():
        if not group.endswith(".istio.io") or (kinds and kind.KIND not in kinds):
            continue
        try:
            # The stored version is served in any case: which one is asked for changes no name that is looked at.
            found = await api.request("GET", f"/apis/{group}/{kind.VERSIONS[0]}/{plural_of(kind)}")
        except ApiError as error:
            if error.status != NOT_FOUND:  # the kind is not installed
                raise
            continue
        for value in found["items"]:
            yield kind.KIND, value

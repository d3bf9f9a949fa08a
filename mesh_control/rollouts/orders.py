"""Orders to releases that stand in a cluster's API: each is a change of an entry, written for the version that was read.

A replica gives them so, and so does whoever may write the object from outside (:mod:`mesh_control.rollouts.outside`). What an
order makes of the entries is pure; :func:`changed` thinks it over again where somebody else was faster.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from mesh_control.rollouts import entries
from mesh_control.rollouts.entries import Entries, Entry, EntryError
from mesh_control.rollouts.runner import RolloutError
from mesh_control.sources.kubernetes.api import ApiError
from mesh_policy import Policy
from mesh_policy.analysis.finding import subject
from mesh_policy.releases.machine import Order, OrderError, Rollout

Made = TypeVar("Made", bound=Entry | None)
Act = Callable[[Entries], Made]
"""What an order makes of a release's entry, ``None`` where it goes. Raises :class:`RolloutError`."""
TURNS = 8
"""How often an order is thought over when somebody else was faster each time."""
CONFLICT, NOT_FOUND = 409, 404


class Maps(Protocol):
    """See :class:`~mesh_control.sources.kubernetes.config_maps.ConfigMaps`."""

    async def read(self, name: str) -> tuple[dict[str, str], str]:
        """Its entries and its version."""

    async def write(self, name: str, entries: Mapping[str, str | None], version: str | None) -> str:
        """Put entries there for that version."""


Write = Callable[[Entry | None, Mapping[str, str], str, Entries], Awaitable[None]]
"""Writes an entry: given that, the texts and the version that were read, and the entries of these texts."""


def required(present: Entries, name: str) -> Entry:
    """The entry of a release. Raises :class:`RolloutError` where there is none."""
    if name not in present:
        known = ", ".join(sorted(present)) or "none"
        raise RolloutError(f"there is no release {name}; there are: {known}", NOT_FOUND)
    return present[name]


def taken(policy: Policy) -> str:
    """What is said of a release's policy where the cluster has an object of its kind and name."""
    return f"{subject(policy)}: the cluster has an object of that name; remove it first"


def beginning(rollout: Rollout, now: float, refused: Callable[[Sequence[Policy]], Sequence[str]]) -> Act[Entry]:
    """The release begins; ``refused`` says why its policies could not be in force."""

    def act(present: Entries) -> Entry:
        known = present.get(rollout.name)
        entry = entries.begun(rollout, known, now)
        if entry != known and (problems := refused(entry.policies())):
            raise RolloutError("\n".join(problems), 422)
        return entry

    return act


def ordered(name: str, order: Order, now: float, reason: str = "") -> Act[Entry]:
    """An operator's word to the release."""

    def act(present: Entries) -> Entry:
        entry = required(present, name)
        try:
            return Entry(entry.rollout, entry.rollout.order(entry.state, order, now, reason)[0])
        except OrderError as error:
            raise RolloutError(f"{name}: {error}") from None

    return act


def removed(name: str) -> Act[None]:
    """An ended release is forgotten, and its policies go with it."""

    def act(present: Entries) -> None:
        state = required(present, name).state
        if not state.ended:
            raise RolloutError(f"{name} is {state.phase}; promote or abort it first")

    return act


async def changed(maps: Maps, act: Act[Made], write: Write) -> Made:
    """An order, carried out; returns the entry. Raises :class:`RolloutError`."""
    for _ in range(TURNS):
        try:
            data, version = await maps.read(entries.NAME)
            present = entries.read({"data": data})
            entry = act(present)
            await write(entry, data, version, present)
        except EntryError as error:
            raise RolloutError(f"ConfigMap {entries.NAME}: {error}") from None
        except ApiError as error:
            if error.status not in (CONFLICT, NOT_FOUND):
                raise RolloutError(f"ConfigMap {entries.NAME}: {error.message}; nothing was changed", 503) from None
        else:
            return entry
    raise RolloutError(f"ConfigMap {entries.NAME}: others write it all the time; try again", 503)


async def put(maps: Maps, name: str, entry: Entry | None, data: Mapping[str, str], version: str) -> None:
    """Write an entry beside the others, for that version. Raises :class:`RolloutError` where there is no room for it, and
    :class:`~mesh_control.sources.kubernetes.api.ApiError`."""
    text = None if entry is None else entries.written(entry)
    if text is not None and entries.too_large({**data, name: text}.values()):
        raise RolloutError("there is no room for one more release; remove such as have ended", 507)
    await maps.write(entries.NAME, {name: text}, version)

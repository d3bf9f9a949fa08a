"""How far the proxies of all replicas are: each replica says it of its own, and the leader adds up. Pure.

A replica says which releases its proxies have (a digest of their policies: equal ones make equal digests), whether all have
taken them, how many workloads that ought to have a proxy have one connected there, and what is refused. Who has said nothing
new for :data:`SILENT` seconds does not count; then the proxies that it served are missing in the sum, wherever they are.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from mesh_control.rollouts.entries import Entries
from mesh_control.sources.kubernetes.status import Proxies
from mesh_control.world import World
from mesh_policy import Policy, dump, json_text

NAME = "meshwright-replicas"
BEAT, SILENT, GONE = 10.0, 30.0, 600.0
"""Seconds after which a replica says again what it said; after which silence counts as being gone; after which the leader
takes away what is left of it."""
REFUSALS = 5
"""So many are told."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a replica says of its proxies. ``digest`` is of the releases that they are sent, ``taken`` whether every one of
    them has acknowledged all; ``present`` counts workloads that ought to have a proxy and have it connected there.

    ``world`` is of all policies that they are sent, empty where they have former ones again; of the ``connected`` proxies so
    many have ``acknowledged`` it.
    """

    digest: str
    taken: bool
    present: int
    refusals: tuple[str, ...] = ()
    world: str = ""
    acknowledged: int = 0
    connected: int = 0

    def written(self, beat: int) -> str:
        """As it stands in the ConfigMap; ``beat`` is another one each time."""
        return json.dumps(asdict(self) | {"beat": beat}, sort_keys=True)


def parsed(text: str) -> Said | None:
    """What :meth:`Said.written` wrote; ``None`` for anything else."""
    try:
        value: Any = json_text.parse(text)
        refusals = tuple(map(str, value["refusals"]))
        numbers = [int(value[name]) for name in ("present", "acknowledged", "connected")]
        present, acknowledged, connected = numbers
        world, taken = str(value["world"]), value["taken"] is True
        return Said(str(value["digest"]), taken, present, refusals, world, acknowledged, connected)
    except (ValueError, KeyError, TypeError):
        return None


def key_of(replica: str) -> str:
    """A replica's entry."""
    return hashlib.sha256(replica.encode()).hexdigest()[:40]


def digest_of(policies: Iterable[Policy]) -> str:
    """Of policies, in whatever order."""
    texts = sorted(dump([policy]) for policy in policies)
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def in_world(world: World, entries: Entries) -> str:
    """The digest of what a world has under the names of the releases' policies."""
    wanted = {policy.key for entry in entries.values() for policy in entry.policies()}
    return digest_of(policy for policy in world.policies if policy.key in wanted)


def united(own: Proxies, world: str, others: Iterable[Said]) -> Proxies:
    """The proxies of all replicas as those of one, whose own are sent the policies ``world``: who is sent others has not
    taken these."""
    for said in others:
        same = said.world == world
        own = Proxies(
            own.taken + (said.acknowledged if same else 0),
            own.connected + said.connected,
            (*own.refusals, *(line for line in said.refusals if same or not said.world)),
            own.rolled_back,
        )
    return own


@dataclass(slots=True)
class Crew:
    """What the leader knows of the other replicas. ``now`` is any steady clock."""

    _heard: dict[str, tuple[str, float]] = field(default_factory=dict)

    def hear(self, texts: Mapping[str, str], own: str, now: float) -> None:
        """What stands in the ConfigMap; ``own`` is this replica's entry, of which it knows better."""
        heard = {key: text for key, text in texts.items() if key != own}
        self._heard = {
            key: (text, now) if (known := self._heard.get(key)) is None or known[0] != text else known
            for key, text in heard.items()
        }

    def gone(self, now: float) -> list[str]:
        """Entries to take away."""
        return [key for key, (_, at) in self._heard.items() if now - at >= GONE]

    def said(self, now: float) -> list[Said]:
        """What the others say that are not silent."""
        alive = (text for text, at in self._heard.values() if now - at < SILENT)
        return [said for text in alive if (said := parsed(text)) is not None]

    def all_have(self, digest: str, own: Said, wanted: int, now: float) -> bool:
        """Whether every proxy has taken releases of that digest; ``wanted`` are the workloads that ought to have one."""
        everybody = [own, *self.said(now)]
        present = sum(said.present for said in everybody)
        # Of nobody, as after a restart, nothing is known: that is not everybody.
        return 0 < present >= wanted and all(said.taken and said.digest == digest for said in everybody)

    def refusals(self, own: Said, now: float) -> frozenset[str]:
        """What proxies of any replica refuse."""
        return frozenset(line for said in (own, *self.said(now)) for line in said.refusals)

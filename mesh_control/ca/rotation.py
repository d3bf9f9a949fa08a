"""Rotation of what signs, without a moment in which somebody is not trusted. Pure; times are seconds since 1970.

Three phases::

    NEXT ──► CURRENT ──► RETIRING ──► gone
    is trusted   signs        is trusted

Whoever has a certificate got with it the roots that were trusted at that time. So the next one is trusted by everybody when
the last certificate has expired that was given out before it was there: then it may sign. The former one stays trusted until
the last that it signed has expired. Nobody is asked, so nobody that is not there now can be forgotten.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

GRACE = 0.2
"""Part of its life that a root has left when the next one is made, as in Istio (``rootCertGracePeriodPercentile``)."""


class Phase(StrEnum):
    """Where a member is."""

    NEXT = "next"
    CURRENT = "current"
    RETIRING = "retiring"


@dataclass(frozen=True, slots=True)
class Member:
    """One that signs, signed or will sign. ``begins`` and ``expires`` are its certificate's.

    ``turn``: of the next one, when it may sign; of a retiring one, when its trust ends; of the current one, when it began.
    """

    name: str
    begins: float
    expires: float
    phase: Phase
    turn: float


@dataclass(frozen=True, slots=True)
class Trust:
    """Everyone that is trusted. There is at most one next and one current member."""

    members: tuple[Member, ...] = ()

    @property
    def current(self) -> Member | None:
        """Who signs."""
        return self._only(Phase.CURRENT)

    @property
    def next(self) -> Member | None:
        """Who will sign."""
        return self._only(Phase.NEXT)

    def _only(self, phase: Phase) -> Member | None:
        return next((member for member in self.members if member.phase is phase), None)

    def __contains__(self, name: str) -> bool:
        return any(member.name == name for member in self.members)


def introduce(
    trust: Trust, name: str, begins: float, expires: float, now: float, outstanding: float, margin: float
) -> Trust:
    """Trust a new member, which signs in its turn; the very first signs at once.

    ``outstanding`` is when the last certificate expires that was given out until now (0: there is none); ``margin`` are the
    seconds by which clocks may differ. A next one that never signed makes way for it.
    """
    if trust.current is None:
        return Trust((*trust.members, Member(name, begins, expires, Phase.CURRENT, now)))
    kept = tuple(member for member in trust.members if member.phase is not Phase.NEXT)
    turn = max(now, outstanding + margin)
    return Trust((*kept, Member(name, begins, expires, Phase.NEXT, turn)))


def step(trust: Trust, now: float, signed: Mapping[str, float], margin: float) -> Trust:
    """Everything that is due: the next one signs, retired ones go. ``signed``: by member, when the last of its own expires.

    The time may pass in any steps: nothing happens before it is due, and nothing that is due is lost.
    """
    coming, going = trust.next, trust.current
    members = trust.members
    if coming is not None and going is not None and now >= coming.turn:
        members = tuple(_promoted(member, now, signed, margin) for member in members)
    return Trust(tuple(m for m in members if not (m.phase is Phase.RETIRING and now >= m.turn)))


def _promoted(member: Member, now: float, signed: Mapping[str, float], margin: float) -> Member:
    if member.phase is Phase.NEXT:
        return replace(member, phase=Phase.CURRENT, turn=now)
    if member.phase is Phase.CURRENT:
        return replace(member, phase=Phase.RETIRING, turn=max(now, signed.get(member.name, 0.0)) + margin)
    return member


def without(trust: Trust, name: str, now: float) -> Trust:
    """A member is trusted no more, at once: whoever depends on it is let down. Where it was the current one, the next signs
    from now on; without a next one nobody does."""
    kept = tuple(member for member in trust.members if member.name != name)
    if Trust(kept).current is None:
        kept = tuple(replace(m, phase=Phase.CURRENT, turn=now) if m.phase is Phase.NEXT else m for m in kept)
    return Trust(kept)


def due(trust: Trust, now: float, grace: float = GRACE) -> bool:
    """Whether it is time to make the next one."""
    current = trust.current
    if current is None:
        return True
    left = (current.expires - now) / (current.expires - current.begins)
    return trust.next is None and left <= grace

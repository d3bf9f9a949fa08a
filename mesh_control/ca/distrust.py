"""What it breaks to trust a root no more before its time, so that an operator may know it first. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mesh_control.ca.rotation import Member, Phase, Trust
from mesh_control.ca.store import Issued

OWN = "control plane"
"""The proof of certificates that the control plane gives itself: it gets the next one at once."""


class UnknownRootError(LookupError):
    """A name of no root, or the beginning of several names."""


@dataclass(frozen=True, slots=True)
class Distrust:
    """What breaks with the root ``name``, as identity to when the last of its certificates expires.

    ``signed`` lead to the root: they prove nothing then. ``strangers`` do not, and were perhaps given out before the one that
    signs then was there: whoever has them refuses the control plane, and whoever is certified anew.
    """

    name: str
    phase: str
    signed: dict[str, float]
    strangers: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """As it is told."""
        return asdict(self)


def member_of(trust: Trust, name: str) -> Member:
    """The member of that name, or whose name alone begins so. Raises :class:`UnknownRootError`."""
    found = [member for member in trust.members if name and member.name.startswith(name)]
    if len(found) != 1:
        known = ", ".join(member.name[:12] for member in trust.members)
        raise UnknownRootError(f"{name!r} is {'more than one' if found else 'none'} of the roots {known}")
    return found[0]


def foreseen(trust: Trust, member: Member, valid: Iterable[Issued], margin: float) -> Distrust:
    """What it breaks to take the member away, where ``valid`` are the certificates that have not expired; ``margin`` as in
    :func:`~mesh_control.ca.rotation.introduce`."""
    others = [issued for issued in valid if issued.proof != OWN]
    signed = [issued for issued in others if issued.authority == member.name]
    strangers: list[Issued] = []
    if member.phase is Phase.CURRENT:
        # By its turn the next one is known to everybody; what expires later was given out after it was there.
        until = float("inf") if trust.next is None else trust.next.turn - margin
        strangers = [i for i in others if i.authority != member.name and i.expires <= until]
    return Distrust(member.name, member.phase.value, _last(signed), _last(strangers))


def _last(issued: Sequence[Issued]) -> dict[str, float]:
    found: dict[str, float] = {}
    for each in issued:
        found[each.identity] = max(each.expires, found.get(each.identity, 0.0))
    return dict(sorted(found.items()))

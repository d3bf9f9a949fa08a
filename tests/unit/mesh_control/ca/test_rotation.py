"""Rotation: nobody signs before everybody trusts it, and nobody's certificate loses its root. For every order of events."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_control.ca.rotation import Member, Phase, Trust, due, introduce, step

DAY = 86400.0
MARGIN = 120.0


def members(trust: Trust) -> dict[str, Phase]:
    return {member.name: member.phase for member in trust.members}


def test_the_first_signs_at_once() -> None:
    trust = introduce(Trust(), "a", 0.0, 100 * DAY, 5.0, 0.0, MARGIN)
    assert trust == Trust((Member("a", 0.0, 100 * DAY, Phase.CURRENT, 5.0),))


def test_a_rotation_from_end_to_end() -> None:
    trust = introduce(Trust(), "a", 0.0, 100 * DAY, 0.0, 0.0, MARGIN)
    trust = introduce(trust, "b", 0.0, 200 * DAY, 10 * DAY, 11 * DAY, MARGIN)
    assert members(trust) == {"a": Phase.CURRENT, "b": Phase.NEXT}
    ready = 11 * DAY + MARGIN
    assert step(trust, ready - 1, {"a": 11 * DAY}, MARGIN) == trust
    signed = {"a": 11.9 * DAY}
    trust = step(trust, ready, signed, MARGIN)
    assert members(trust) == {"a": Phase.RETIRING, "b": Phase.CURRENT}
    assert members(step(trust, 11.9 * DAY + MARGIN - 1, signed, MARGIN)) == members(trust)
    trust = step(trust, 11.9 * DAY + MARGIN, signed, MARGIN)
    assert members(trust) == {"b": Phase.CURRENT}


def test_where_nobody_has_a_certificate_nobody_is_waited_for() -> None:
    trust = introduce(Trust(), "a", 0.0, 100 * DAY, 0.0, 0.0, MARGIN)
    trust = step(introduce(trust, "b", 0.0, 200 * DAY, 10 * DAY, 0.0, MARGIN), 10 * DAY, {}, MARGIN)
    assert members(trust) == {"a": Phase.RETIRING, "b": Phase.CURRENT}
    assert members(step(trust, 10 * DAY + MARGIN, {}, MARGIN)) == {"b": Phase.CURRENT}


def test_a_next_one_that_never_signed_makes_way() -> None:
    trust = introduce(Trust(), "a", 0.0, 100 * DAY, 0.0, 0.0, MARGIN)
    trust = introduce(trust, "b", 0.0, 100 * DAY, 1.0, DAY, MARGIN)
    trust = introduce(trust, "c", 0.0, 100 * DAY, 2.0, DAY + 1, MARGIN)
    assert members(trust) == {"a": Phase.CURRENT, "c": Phase.NEXT}
    assert trust.next is not None
    assert trust.next.turn == DAY + 1 + MARGIN


@pytest.mark.parametrize(("at", "wanted"), [(0.0, False), (79.9 * DAY, False), (80.1 * DAY, True), (200 * DAY, True)])
def test_the_next_one_is_made_in_time(at: float, wanted: bool) -> None:
    trust = introduce(Trust(), "a", 0.0, 100 * DAY, 0.0, 0.0, MARGIN)
    assert due(trust, at) is wanted
    assert due(introduce(trust, "b", 0.0, 300 * DAY, at, 0.0, MARGIN), at) is False
    assert due(Trust(), at) is True


@dataclass
class Mesh:
    """What is true of a mesh whose members were told nothing but what came with their certificates."""

    now: float = 0.0
    trust: Trust = field(default_factory=Trust)
    signed: dict[str, float] = field(default_factory=dict)
    holders: list[tuple[float, str, frozenset[str]]] = field(default_factory=list)
    """Of each certificate that is out: until when, signed by whom, and whom its holder trusts."""
    made: int = 0

    def introduce(self) -> None:
        self.made += 1
        outstanding = max((until for until, _, _ in self.holders), default=0.0)
        end = self.now + 1000 * DAY
        self.trust = introduce(self.trust, f"r{self.made}", self.now, end, self.now, outstanding, MARGIN)

    def issue(self, seconds: float) -> None:
        current = self.trust.current
        assert current is not None
        until = self.now + seconds
        self.signed[current.name] = max(self.signed.get(current.name, 0.0), until)
        self.holders.append((until, current.name, frozenset(members(self.trust))))

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.trust = step(self.trust, self.now, self.signed, MARGIN)

    def check(self) -> None:
        valid = [holder for holder in self.holders if holder[0] > self.now]
        assert sum(member.phase is Phase.CURRENT for member in self.trust.members) == 1
        assert sum(member.phase is Phase.NEXT for member in self.trust.members) <= 1
        for _, signer, trusted in valid:
            assert signer in self.trust, "the control plane refuses a valid certificate"
            for _, other, _ in valid:
                assert other in trusted, "two workloads with valid certificates do not trust each other"


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("advance"), st.floats(0, 3 * DAY)),
        st.tuples(st.just("issue"), st.floats(1, 3 * DAY)),
        st.tuples(st.just("introduce"), st.just(0.0)),
    ),
    max_size=60,
)


@settings(max_examples=400, deadline=None)
@given(EVENTS)
def test_in_any_order_of_events_everybody_trusts_everybody(events: list[tuple[str, float]]) -> None:
    mesh = Mesh()
    mesh.introduce()
    for kind, value in events:
        if kind == "introduce":
            mesh.introduce()
        else:
            getattr(mesh, kind)(value)
        mesh.check()
    mesh.advance(4 * DAY)
    mesh.advance(4 * DAY)
    assert list(members(mesh.trust).values()) == [Phase.CURRENT], "a rotation ends"

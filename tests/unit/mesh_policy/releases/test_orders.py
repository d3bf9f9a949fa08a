"""Every order in every phase, and what a rollout that is read is told."""

from typing import Any

import pytest
from pydantic import ValidationError

from mesh_policy import CanaryRelease, Timeout
from mesh_policy.releases import BlueGreen, ErrorRate, Mirror, Weight
from mesh_policy.releases.machine import Order, OrderError, Phase, Reading, Rollout, Seen, State

CANARY = CanaryRelease(service="books", stable="v1", candidate="v2", steps=(Weight(5), Weight(50)))
ROLLOUT = Rollout(release=CANARY)
STATES = {
    Phase.PENDING: State(),
    Phase.PROGRESSING: State(phase=Phase.PROGRESSING, step=1, weight=50, held=3.0, clock=1.0),
    Phase.PAUSED: State(phase=Phase.PAUSED, step=1, weight=50, held=3.0),
    Phase.PROMOTED: State(phase=Phase.PROMOTED, step=1, weight=100),
    Phase.ABORTED: State(phase=Phase.ABORTED, step=1),
}
PENDING, PROGRESSING, PAUSED, PROMOTED, ABORTED = Phase
START, PAUSE, RESUME, PROMOTE, ABORT = Order
TABLE: dict[tuple[Phase, Order], tuple[Phase, int] | str] = {
    (PENDING, START): (PROGRESSING, 5),
    (PENDING, PAUSE): "has not begun",
    (PENDING, RESUME): "has not begun",
    (PENDING, PROMOTE): "has not begun",
    (PENDING, ABORT): (ABORTED, 0),
    (PROGRESSING, START): (PROGRESSING, 50),
    (PROGRESSING, PAUSE): (PAUSED, 50),
    (PROGRESSING, RESUME): (PROGRESSING, 50),
    (PROGRESSING, PROMOTE): (PROMOTED, 100),
    (PROGRESSING, ABORT): (ABORTED, 0),
    (PAUSED, START): (PROGRESSING, 50),
    (PAUSED, PAUSE): (PAUSED, 50),
    (PAUSED, RESUME): (PROGRESSING, 50),
    (PAUSED, PROMOTE): (PROMOTED, 100),
    (PAUSED, ABORT): (ABORTED, 0),
    (PROMOTED, START): "has ended",
    (PROMOTED, PAUSE): "has ended",
    (PROMOTED, RESUME): "has ended",
    (PROMOTED, PROMOTE): (PROMOTED, 100),
    (PROMOTED, ABORT): "has ended",
    (ABORTED, START): "has ended",
    (ABORTED, PAUSE): "has ended",
    (ABORTED, RESUME): "has ended",
    (ABORTED, PROMOTE): "has ended",
    (ABORTED, ABORT): (ABORTED, 0),
}


def test_the_table_has_every_order_in_every_phase() -> None:
    assert set(TABLE) == {(phase, order) for phase in Phase for order in Order}


@pytest.mark.parametrize(("phase", "order"), TABLE, ids=lambda value: str(value))
def test_orders(phase: Phase, order: Order) -> None:
    wanted, state = TABLE[phase, order], STATES[phase]
    if isinstance(wanted, str):
        with pytest.raises(OrderError, match=wanted):
            ROLLOUT.order(state, order, 9.0)
        return
    after, policies = ROLLOUT.order(state, order, 9.0, "why")
    assert (after.phase, after.weight) == wanted
    assert policies == ROLLOUT.policies(after)
    if after.phase is phase:
        assert after == state  # what is so already stays as it is
    elif phase is PAUSED and after.phase is PROGRESSING:
        assert (after.held, after.clock, after.changed, after.reason) == (3.0, None, 9.0, "")


@pytest.mark.parametrize("phase", [PENDING, PROMOTED, ABORTED])
def test_what_does_not_move_is_not_moved_by_anything_seen(phase: Phase) -> None:
    state = STATES[phase]
    for now in (0.0, 1e9):
        assert ROLLOUT.advance(state, Seen(acknowledged=True), now)[0] == state


def test_a_clock_that_goes_backwards_takes_no_time_away_and_gives_none() -> None:
    state, _ = ROLLOUT.order(State(), START, 1000.0)
    for now, held in ((1000.0, 0.0), (1010.0, 10.0), (500.0, 10.0), (510.0, 20.0)):
        state, _ = ROLLOUT.advance(state, Seen(acknowledged=True), now)
        assert (state.step, state.held) == (0, held)


def test_time_in_which_something_is_missing_does_not_count() -> None:
    limit = ErrorRate("> 10%", min_requests=5)
    rollout = Rollout(release=CANARY.model_copy(update={"abort": (limit,)}))
    good = Seen(acknowledged=True, readings={str(limit): Reading(requests=5, value=0)})
    state, _ = rollout.order(State(), START, 0.0)
    for now, seen, held in (
        (0.0, good, 0.0),
        (30.0, good, 30.0),
        (40.0, Seen(acknowledged=True), 30.0),
        (100.0, good, 30.0),
        (120.0, good, 50.0),
        (125.0, Seen(readings=good.readings), 50.0),
        (200.0, good, 50.0),
    ):
        state, _ = rollout.advance(state, seen, now)
        assert (state.step, state.held) == (0, held)
    assert rollout.advance(state, good, 210.0)[0].step == 1


def test_at_the_limit_is_not_above_it() -> None:
    limit = ErrorRate("> 10%", min_requests=5)
    rollout = Rollout(release=CANARY.model_copy(update={"abort": (limit,)}))
    state, _ = rollout.order(State(), START, 0.0)

    def at(requests: int, value: float) -> Phase:
        seen = Seen(readings={str(limit): Reading(requests=requests, value=value)})
        return rollout.advance(state, seen, 1.0)[0].phase

    assert (at(5, 10.0), at(5, 10.1), at(4, 100.0)) == (PROGRESSING, ABORTED, PROGRESSING)


@pytest.mark.parametrize(
    ("release", "during", "end"),
    [
        (BlueGreen(service="books", blue="v1", green="v2", hold="1s"), 100, 100),
        (Mirror(service="books", stable="v1", candidate="v2", percent=30, hold="1s"), 30, 0),
    ],
)
def test_one_step_and_its_good_end(release: BlueGreen | Mirror, during: int, end: int) -> None:
    rollout = Rollout(release=release)
    state, _ = rollout.order(State(), START, 0.0)
    assert state.weight == during
    for now in (1.0, 2.0):
        state, _ = rollout.advance(state, Seen(acknowledged=True), now)
    assert (state.phase, state.weight) == (PROMOTED, end)


DOCUMENT: dict[str, Any] = ROLLOUT.to_document()
WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "release\n.*[Ff]ield required"),
    ({"release": {}}, "release.kind: None is unknown; allowed are BlueGreen, CanaryRelease, Mirror"),
    ({"release": {**DOCUMENT["release"], "kind": "Timeout"}}, "release.kind: 'Timeout' is unknown"),
    ({"release": {**DOCUMENT["release"], "steps": []}}, "weight or steps is required"),
    ({"release": {**DOCUMENT["release"], "steps": [{"percent": 0}]}}, r"steps\.0\.percent"),
    ({"release": {**DOCUMENT["release"], "colour": 1}}, "colour\n"),
    ({"release": {**DOCUMENT["release"], "steps": [], "weight": 5}}, "the release has no steps"),
    ({**DOCUMENT, "statements": None}, "a list of statements is wanted"),
    ({**DOCUMENT, "statements": [{"kind": "CanaryRelease"}]}, r"statements\[0\]\.kind: 'CanaryRelease' is unknown"),
    ({**DOCUMENT, "statements": [{"kind": "Timeout", "service": "books"}]}, "after\n"),
    ({**DOCUMENT, "statements": [{"kind": "Timeout", "service": "zoo", "after": "1s"}]}, "another service than books"),
    (
        {**DOCUMENT, "statements": [{"kind": "Route", "service": "books", "path": "/", "version": "v1"}]},
        "both say where everything goes",
    ),
    ({**DOCUMENT, "more": 1}, "more\n"),
]


@pytest.mark.parametrize(("document", "message"), WRONG, ids=[row[1][:40] for row in WRONG])
def test_a_rollout_that_cannot_be_is_told_by_its_field(document: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Rollout.model_validate(document)


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_reading_is_a_number_that_json_keeps(value: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        Reading(requests=1, value=value)


def test_other_statements_stay_in_force_at_every_weight() -> None:
    rollout = Rollout(release=CANARY, statements=(Timeout(service="books", after="3s"),))
    for state in STATES.values():
        (service,) = [policy for policy in rollout.policies(state) if policy.kind == "VirtualService"]
        assert all(rule.timeout.total_seconds() == 3 for rule in service.spec.http)

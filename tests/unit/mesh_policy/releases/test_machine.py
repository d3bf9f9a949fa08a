"""The state machine of a release, by properties: whatever is seen and ordered, in whatever order."""

import json

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mesh_policy.releases import BlueGreen, CanaryRelease, ErrorRate, Mirror, Weight
from mesh_policy.releases.machine import Order, OrderError, Phase, Reading, Rollout, Seen, State

LIMIT = ErrorRate("> 10%", window="5s", min_requests=5)
CANARY = CanaryRelease(
    service="books",
    stable="v1",
    candidate="v2",
    steps=[Weight(5, hold="2s"), Weight(20, hold="1s"), Weight(50, hold="3s")],
    abort=LIMIT,
)
ROLLOUT = Rollout(release=CANARY)
SEEN = st.builds(
    Seen,
    acknowledged=st.booleans(),
    readings=st.one_of(
        st.just({}),
        st.builds(
            lambda requests, value: {str(LIMIT): Reading(requests=requests, value=value)},
            st.integers(0, 20),
            st.sampled_from([0.0, 5.0, 10.0, 50.0]),
        ),
    ),
)


class Life(RuleBasedStateMachine):
    """One release through anything that can happen to it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.state = State()
        self.before = State()

    def _take(self, state: State) -> None:
        self.before, self.state = self.state, State.model_validate_json(state.model_dump_json())  # as after a restart

    @rule(seen=SEEN, seconds=st.floats(-1, 3))
    def look(self, seen: Seen, seconds: float) -> None:
        self.now += seconds
        after, policies = ROLLOUT.advance(self.state, seen, self.now)
        assert policies == ROLLOUT.policies(after)
        if after.step > self.state.step or (after.phase is Phase.PROMOTED and not self.state.ended):
            assert seen.acknowledged
            assert seen.readings[str(LIMIT)].requests >= 5
            assert self.state.phase is Phase.PROGRESSING
        bad = any(r.requests >= 5 and r.value > 10 for r in seen.readings.values())
        if self.state.phase in (Phase.PROGRESSING, Phase.PAUSED):
            assert (after.phase is Phase.ABORTED) is bad
        self._take(after)

    @rule(order=st.sampled_from(Order))
    def say(self, order: Order) -> None:
        try:
            after, _ = ROLLOUT.order(self.state, order, self.now)
        except OrderError:
            return
        assert ROLLOUT.order(after, order, self.now)[0] == after
        self._take(after)

    @invariant()
    def keeps_the_rules(self) -> None:
        before, state = self.before, self.state
        if before.ended:
            assert (state.phase, state.weight) == (before.phase, before.weight)
        if state.phase is Phase.ABORTED:
            assert state.weight == 0
        elif state.phase is Phase.PROMOTED:
            assert state.weight == 100
        else:
            assert state.weight >= before.weight
            assert state.step - before.step in (0, 1)
            assert state.weight == (0 if state.step < 0 else CANARY.steps[state.step].percent)
            assert ROLLOUT.order(state, Order.ABORT, self.now)[0].weight == 0


Life.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestLife = Life.TestCase


def good(requests: int = 10, value: float = 0.0, *, acknowledged: bool = True) -> Seen:
    return Seen(acknowledged=acknowledged, readings={str(LIMIT): Reading(requests=requests, value=value)})


def begun() -> State:
    return ROLLOUT.order(State(), Order.START, 0.0)[0]


def test_a_step_is_held_from_when_every_proxy_has_it() -> None:
    state = begun()
    for now in (1.0, 2.0, 50.0):
        state, _ = ROLLOUT.advance(state, good(acknowledged=False), now)
        assert (state.step, state.held) == (0, 0.0)
    state, _ = ROLLOUT.advance(state, good(), 60.0)
    state, _ = ROLLOUT.advance(state, good(), 61.9)
    assert state.step == 0
    state, _ = ROLLOUT.advance(state, good(), 62.0)
    assert (state.step, state.weight) == (1, 20)


@pytest.mark.parametrize("seen", [Seen(acknowledged=True), good(4, 0.0), good(4, 100.0)])
def test_without_enough_measurements_nothing_moves(seen: Seen) -> None:
    state = begun()
    for now in range(100):
        state, _ = ROLLOUT.advance(state, seen, float(now))
    assert (state.phase, state.step, state.weight) == (Phase.PROGRESSING, 0, 5)
    assert state.waiting


def test_an_abort_says_why_and_with_what() -> None:
    state, _ = ROLLOUT.advance(begun(), good(10, 30.0), 1.0)
    assert state.phase is Phase.ABORTED
    assert state.reason == "error rate > 10% within 5s: measured 30 % of 10 requests at 5 %"
    assert state.readings[str(LIMIT)].value == 30.0


def test_a_paused_release_stays_and_still_aborts() -> None:
    state, _ = ROLLOUT.order(begun(), Order.PAUSE, 1.0)
    for now in range(100):
        state, _ = ROLLOUT.advance(state, good(), float(now))
    assert (state.phase, state.step) == (Phase.PAUSED, 0)
    assert ROLLOUT.advance(state, good(10, 30.0), 101.0)[0].phase is Phase.ABORTED


@pytest.mark.parametrize(
    "release",
    [
        CANARY,
        BlueGreen(service="books", blue="v1", green="v2", abort=LIMIT),
        Mirror(service="books", stable="v1", candidate="v2", percent=10),
    ],
)
def test_a_rollout_is_the_same_after_json(release: CanaryRelease) -> None:
    rollout = Rollout(release=release)
    again = Rollout.model_validate(json.loads(json.dumps(rollout.to_document())))
    assert again == rollout
    assert again.policies(begun()) == rollout.policies(begun())

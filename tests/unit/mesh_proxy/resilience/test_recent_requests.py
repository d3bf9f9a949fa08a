"""How many requests began in the last while."""

from hypothesis import given
from hypothesis import strategies as st

from mesh_proxy.resilience.recent_requests import SLOTS, RecentRequests


def test_requests_are_forgotten_after_the_time() -> None:
    recent = RecentRequests(10.0)
    recent.count(100.0)
    recent.count(104.5)
    assert [recent.total(now) for now in (104.5, 109.9, 110.5, 113.9, 115.0, 1000.0)] == [2, 2, 1, 1, 0, 0]


@given(st.lists(st.floats(0, 40), max_size=60), st.floats(0.5, 20))
def test_it_is_right_to_a_tenth_of_the_time(pauses: list[float], interval: float) -> None:
    recent, began, now = RecentRequests(interval), [], 1000.0
    for pause in pauses:
        now += pause / 10
        recent.count(now)
        began.append(now)
        certain = sum(at > now - interval * (1 - 1 / SLOTS) * 0.999 for at in began)
        possible = sum(at >= now - interval * 1.001 for at in began)
        assert certain <= recent.total(now) <= possible

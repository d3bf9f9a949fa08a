"""Outlier detection. Who is ejected and when, as measured on Envoy 1.40; seconds are counted by the test."""

from typing import Any

import pytest

from mesh_api.config import OutlierDetection
from mesh_proxy.balancing.host import Host
from mesh_proxy.resilience.outlier import Outliers
from tests.unit.mesh_proxy.making import hosts


class Watch:
    """Hosts under outlier detection, and a clock."""

    def __init__(self, number: int, chance: float = 0.0, **fields: Any) -> None:
        self.now = 1000.0
        self.changes = 0
        self.counters: dict[str, int] = {}
        self.hosts = hosts(number)
        config = OutlierDetection(**fields)
        self.outliers = Outliers(config, self.hosts, lambda: chance, self._changed, self.counters)

    def _changed(self) -> None:
        self.changes += 1

    def answers(self, status: int, times: int = 1, host: int = 0) -> "Watch":
        for _ in range(times):
            self.outliers.on_status(self.hosts[host], status, self.now)
        return self

    def breaks(self, times: int = 1, host: int = 0) -> "Watch":
        for _ in range(times):
            self.outliers.on_local_failure(self.hosts[host], self.now)
        return self

    def sweep(self, seconds: float) -> "Watch":
        self.now += seconds
        self.outliers.sweep(self.now)
        return self

    @property
    def ejected(self) -> str:
        return "".join(host.name for host in self.hosts if not host.available)

    def seconds_left(self, host: int = 0) -> float:
        return self.hosts[host].ejected_until - self.now


@pytest.mark.parametrize("number", [1, 2, 9])
def test_few_hosts_are_never_ejected_when_max_ejection_percent_is_unset(number: int) -> None:
    """10 % of less than ten hosts is less than one."""
    watch = Watch(number, consecutive_5xx=10).answers(500, 100)
    assert watch.ejected == ""
    assert watch.counters == {"ejections_detected_consecutive_5xx": 10, "ejections_overflow": 10}
    assert watch.changes == 0


def test_one_host_is_ejected_after_ten_failures_when_all_may_be() -> None:
    """The scenario of the demo."""
    watch = Watch(1, consecutive_5xx=10, max_ejection_percent=100).answers(500, 9)
    assert (watch.ejected, watch.changes) == ("", 0)
    watch.answers(500)
    assert (watch.ejected, watch.changes) == ("a", 1)
    assert watch.counters == {
        "ejections_detected_consecutive_5xx": 1,
        "ejections_enforced_total": 1,
        "ejections_enforced_consecutive_5xx": 1,
        "ejections_active": 1,
    }


def test_of_eleven_hosts_one_is_ejected_when_max_ejection_percent_is_unset() -> None:
    watch = Watch(11, consecutive_5xx=10)
    for host in range(8):
        watch.answers(500, 10, host)
    assert watch.ejected == "a"
    assert (watch.counters["ejections_enforced_total"], watch.counters["ejections_overflow"]) == (1, 7)


@pytest.mark.parametrize(
    ("number", "percent", "expected"), [(10, 10, 1), (20, 10, 2), (19, 10, 1), (3, 50, 1), (4, 50, 2), (3, 0, 0)]
)
def test_no_more_hosts_are_ejected_than_the_percentage_allows(number: int, percent: int, expected: int) -> None:
    watch = Watch(number, max_ejection_percent=percent)
    for host in range(number):
        watch.answers(503, 5, host)
    assert len(watch.ejected) == expected


def test_a_success_between_failures_counts_them_anew() -> None:
    watch = Watch(1, max_ejection_percent=100).answers(500, 4).answers(499).answers(500, 4)
    assert watch.ejected == ""
    assert watch.answers(500).ejected == "a"


def test_failures_of_one_host_do_not_count_for_another() -> None:
    watch = Watch(2, max_ejection_percent=100).answers(500, 4, 0).answers(500, 4, 1)
    assert watch.ejected == ""


def test_after_as_many_failures_they_count_anew_also_when_nothing_was_ejected() -> None:
    watch = Watch(1).answers(500, 12)
    assert watch.counters["ejections_detected_consecutive_5xx"] == 2


@pytest.mark.parametrize(("status", "ejected"), [(502, "a"), (503, "a"), (504, "a"), (500, ""), (505, ""), (429, "")])
def test_gateway_failures_are_502_503_and_504(status: int, ejected: str) -> None:
    fields = {"consecutive_gateway_failure": 3, "enforcing_consecutive_gateway_failure": 100}
    watch = Watch(1, max_ejection_percent=100, enforcing_consecutive_5xx=0, **fields).answers(status, 3)
    assert watch.ejected == ejected
    assert watch.counters.get("ejections_enforced_consecutive_gateway_failure", 0) == len(ejected)


def test_another_failure_between_gateway_failures_counts_them_anew() -> None:
    fields = {"consecutive_gateway_failure": 3, "enforcing_consecutive_gateway_failure": 100, "consecutive_5xx": 99}
    watch = Watch(1, max_ejection_percent=100, **fields).answers(503, 2).answers(500).answers(503, 2)
    assert watch.ejected == ""
    assert watch.answers(503).ejected == "a"


def test_gateway_failures_are_not_enforced_unless_asked_for() -> None:
    watch = Watch(1, max_ejection_percent=100, consecutive_5xx=99).answers(503, 5)
    assert (watch.ejected, watch.counters) == ("", {"ejections_detected_consecutive_gateway_failure": 1})


@pytest.mark.parametrize(("number", "ejected"), [(0.2999, "a"), (0.3, "")])
def test_an_ejection_is_enforced_for_its_share_of_the_numbers(number: float, ejected: str) -> None:
    watch = Watch(1, number, max_ejection_percent=100, enforcing_consecutive_5xx=30).answers(500, 5)
    assert watch.ejected == ejected
    assert watch.counters["ejections_detected_consecutive_5xx"] == 1


def test_a_host_that_cannot_be_reached_counts_as_503() -> None:
    watch = Watch(1, max_ejection_percent=100).answers(500, 2).breaks(3)
    assert watch.ejected == "a"
    assert "ejections_enforced_consecutive_5xx" in watch.counters


SPLIT = {"split_external_local_origin_errors": True, "max_ejection_percent": 100}


def test_local_failures_count_apart_where_they_are_split() -> None:
    watch = Watch(1, **SPLIT, consecutive_local_origin_failure=3, consecutive_5xx=3).answers(500, 2).breaks(2)
    assert watch.ejected == ""
    watch.breaks()
    assert watch.ejected == "a"
    assert watch.counters["ejections_enforced_consecutive_local_origin_failure"] == 1
    assert "ejections_detected_consecutive_5xx" not in watch.counters


def test_any_answer_ends_a_row_of_local_failures() -> None:
    watch = Watch(1, **SPLIT, consecutive_local_origin_failure=3).breaks(2).answers(500).breaks(2)
    assert watch.ejected == ""


def test_a_host_comes_back_at_the_first_sweep_after_its_time() -> None:
    watch = Watch(1, max_ejection_percent=100).answers(500, 5)
    assert watch.seconds_left() == 30.0
    assert watch.sweep(29.9).ejected == "a"
    assert watch.sweep(0.1).ejected == ""
    assert (watch.changes, watch.counters["ejections_active"]) == (2, 0)


def test_a_sweep_is_due_every_interval() -> None:
    watch = Watch(1, interval=2.5).sweep(0.0)
    assert watch.outliers.deadline == watch.now + 2.5


def test_the_time_grows_with_every_ejection_up_to_its_limit() -> None:
    watch = Watch(1, max_ejection_percent=100, max_ejection_time=100.0)
    times = []
    for _ in range(6):
        watch.answers(500, 5)
        times.append(watch.seconds_left())
        watch.sweep(watch.seconds_left())
    assert times == [30.0, 60.0, 90.0, 100.0, 100.0, 100.0]


def test_the_time_is_never_less_than_its_base() -> None:
    watch = Watch(1, max_ejection_percent=100, max_ejection_time=10.0).answers(500, 5)
    assert watch.seconds_left() == 30.0


def test_every_sweep_without_an_ejection_takes_one_off() -> None:
    watch = Watch(1, max_ejection_percent=100)
    for _ in range(3):
        watch.answers(500, 5).sweep(watch.seconds_left())
    assert watch.hosts[0].times_ejected == 3
    assert watch.sweep(10.0).sweep(10.0).hosts[0].times_ejected == 1
    assert watch.answers(500, 5).seconds_left() == 60.0
    for _ in range(5):
        watch.sweep(100.0)
    assert watch.hosts[0].times_ejected == 0


def test_a_host_ejected_very_often_is_forgiven_as_soon_as_one_at_the_limit() -> None:
    watch = Watch(1, max_ejection_percent=100)
    for _ in range(50):
        watch.answers(500, 5).sweep(watch.seconds_left())
    assert watch.hosts[0].times_ejected == 11


def test_what_fails_while_a_host_is_ejected_does_not_count_when_it_is_back() -> None:
    """Answers to requests that were on their way when it was ejected."""
    fields = {"consecutive_gateway_failure": 6, "enforcing_consecutive_gateway_failure": 100}
    watch = Watch(1, max_ejection_percent=100, **fields).answers(503, 5).answers(503, 4)
    assert watch.counters["ejections_enforced_total"] == 1
    watch.sweep(30.0).answers(503, 4)
    assert watch.ejected == ""
    assert watch.answers(503).ejected == "a"


def test_an_ejected_host_is_not_ejected_again() -> None:
    watch = Watch(1, max_ejection_percent=100).answers(500, 20)
    assert (watch.hosts[0].times_ejected, watch.counters["ejections_detected_consecutive_5xx"]) == (1, 1)


def test_the_last_answers_of_a_host_that_left_eject_nobody() -> None:
    watch = Watch(2, max_ejection_percent=100)
    gone = Host("gone", ("10.0.0.9", 1))
    for _ in range(20):
        watch.outliers.on_status(gone, 500, watch.now)
    assert (gone.ejected_until, watch.counters) == (0.0, {})


def test_one_host_is_always_ejected_where_that_is_asked_for() -> None:
    watch = Watch(3, always_eject_one_host=True).answers(500, 5, 0).answers(500, 5, 1)
    assert watch.ejected == "a"
    assert watch.counters["ejections_overflow"] == 1


def test_jitter_makes_the_time_longer() -> None:
    watch = Watch(1, 0.5, max_ejection_percent=100, max_ejection_time_jitter=10.0).answers(500, 5)
    assert watch.seconds_left() == 35.0


def test_a_passed_check_brings_a_host_back() -> None:
    for allowed, expected in ((True, ""), (False, "a")):
        watch = Watch(1, max_ejection_percent=100, successful_active_health_check_uneject_host=allowed).answers(500, 5)
        watch.outliers.on_check_passed(watch.hosts[0])
        assert watch.ejected == expected
        assert watch.counters["ejections_active"] == len(expected)


RATES = {"max_ejection_percent": 100, "enforcing_success_rate": 100, "enforcing_consecutive_5xx": 0}


def with_rates(watch: Watch, *successes: int) -> Watch:
    """Of a hundred answers of each host so many are good; never five failures in a row."""
    for host, good in enumerate(successes):
        for number in range(100):
            watch.answers(200 if (number * good) % 100 < good else 500, 1, host)
    return watch.sweep(10.0)


def test_a_host_that_does_much_worse_than_others_is_ejected() -> None:
    watch = with_rates(Watch(5, **RATES, success_rate_stdev_factor=1500), 99, 99, 99, 99, 50)
    assert watch.ejected == "e"
    assert watch.counters["ejections_enforced_success_rate"] == 1
    assert [host.success_rate for host in watch.hosts] == [99, 99, 99, 99, 50]
    assert watch.outliers.average == pytest.approx(89.2)
    assert watch.outliers.threshold == pytest.approx(89.2 - 1.5 * 19.6)


@pytest.mark.parametrize(
    "fields",
    [
        {"success_rate_minimum_hosts": 6},
        {"success_rate_request_volume": 101},
        {"success_rate_stdev_factor": 2500},
        {"enforcing_success_rate": 0},
    ],
)
def test_rates_eject_nobody_without_enough_hosts_requests_or_difference(fields: dict[str, int]) -> None:
    watch = with_rates(Watch(5, **{"success_rate_stdev_factor": 1500} | RATES | fields), 99, 99, 99, 99, 50)
    assert watch.ejected == ""


def test_a_host_is_ejected_for_its_share_of_failures() -> None:
    fields = {"enforcing_failure_percentage": 100, "failure_percentage_threshold": 60, "enforcing_consecutive_5xx": 0}
    watch = with_rates(Watch(5, max_ejection_percent=100, **fields), 99, 41, 40, 39, 99)
    assert watch.ejected == "cd"
    assert watch.counters["ejections_enforced_failure_percentage"] == 2


def test_rates_are_of_the_last_interval_alone() -> None:
    watch = with_rates(Watch(5, **RATES, success_rate_stdev_factor=1500), 99, 99, 99, 99, 98)
    assert watch.ejected == "e"  # 1.5 times the deviation is little when all are alike
    watch = Watch(5, **RATES)
    watch.sweep(10.0)
    assert (watch.hosts[0].success_rate, watch.outliers.average) == (-1.0, -1.0)


def test_local_rates_count_apart() -> None:
    fields = {
        **SPLIT, "enforcing_local_origin_success_rate": 100, "success_rate_stdev_factor": 1500,
        "enforcing_consecutive_local_origin_failure": 0,
    }  # fmt: skip
    watch = Watch(5, **fields)
    for host in range(5):
        for number in range(100):
            if host == 4 and number % 2:
                watch.breaks(1, host)
            else:
                watch.outliers.on_connected(watch.hosts[host], watch.now)
    watch.sweep(10.0)
    assert watch.ejected == "e"
    assert watch.counters["ejections_enforced_local_origin_success_rate"] == 1
    assert watch.hosts[4].local_success_rate == 50.0


def test_a_host_that_took_too_long_counts_as_504() -> None:
    fields = {"consecutive_gateway_failure": 2, "enforcing_consecutive_gateway_failure": 100}
    watch = Watch(1, max_ejection_percent=100, **fields)
    for _ in range(2):
        watch.outliers.on_local_failure(watch.hosts[0], watch.now, 504)
    assert watch.ejected == "a"

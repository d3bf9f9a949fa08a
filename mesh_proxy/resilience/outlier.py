"""Outlier detection: hosts that fail too often are ejected for a while (Envoy ``DetectorImpl``)."""

import math
from collections.abc import Callable, Sequence
from typing import Final

from mesh_api.config import OutlierDetection
from mesh_proxy.balancing.host import Host

CONSECUTIVE_5XX: Final = "consecutive_5xx"
GATEWAY: Final = "consecutive_gateway_failure"
LOCAL_ORIGIN: Final = "consecutive_local_origin_failure"
SUCCESS_RATE: Final = "success_rate"
LOCAL_SUCCESS_RATE: Final = "local_origin_success_rate"
FAILURE_PERCENTAGE: Final = "failure_percentage"
LOCAL_FAILURE_PERCENTAGE: Final = "local_origin_failure_percentage"
"""Why a host is ejected, as counters name it: ``ejections_detected_*`` and ``ejections_enforced_*``."""


class Outliers:
    """Watches the hosts of one cluster. ``changed`` is called when one was ejected or came back.

    ``average`` and ``threshold`` are percent, those of the last interval; -1: too few hosts had enough requests.
    """

    __slots__ = (
        "_changed", "_members", "_random", "average", "config", "counters", "ejected", "hosts", "local_average",
        "local_threshold", "swept_at", "threshold",
    )  # fmt: skip

    def __init__(
        self,
        config: OutlierDetection,
        hosts: Sequence[Host],
        random: Callable[[], float],
        changed: Callable[[], None],
        counters: dict[str, int],
        swept_at: float = 0.0,
    ) -> None:
        self.config = config
        self.hosts: tuple[Host, ...] = tuple(hosts)
        self._members: frozenset[Host] = frozenset(self.hosts)
        self._random = random
        self._changed = changed
        self.swept_at: float = swept_at
        self.counters: dict[str, int] = counters
        self.average: float = -1.0
        self.threshold: float = -1.0
        self.local_average: float = -1.0
        self.local_threshold: float = -1.0
        self.ejected: int = 0
        self._count_active()  # an ejected host may have left with the configuration before

    # What requests tell.

    def on_status(self, host: Host, status: int, now: float) -> None:
        """The host answered."""
        host.consecutive_local = 0
        host.external_requests += 1
        if status < 500:
            host.consecutive_5xx = host.consecutive_gateway = 0
            return
        self._failed(host, status, now)

    def _failed(self, host: Host, status: int, now: float) -> None:
        config = self.config
        host.external_failures += 1
        if 502 <= status <= 504:
            host.consecutive_gateway += 1
            if host.consecutive_gateway == config.consecutive_gateway_failure:
                host.consecutive_gateway = 0
                self._detected(host, config.enforcing_consecutive_gateway_failure, GATEWAY, now)
        else:
            host.consecutive_gateway = 0
        host.consecutive_5xx += 1
        if host.consecutive_5xx == config.consecutive_5xx:
            host.consecutive_5xx = 0
            self._detected(host, config.enforcing_consecutive_5xx, CONSECUTIVE_5XX, now)

    def on_connected(self, host: Host, now: float) -> None:
        """The host could be reached; says something only where local failures are counted apart."""
        if self.config.split_external_local_origin_errors:
            host.local_requests += 1
            host.consecutive_local = 0

    def on_local_failure(self, host: Host, now: float, status: int = 503) -> None:
        """The host could not be reached, broke off, or (504) took too long: an answer with ``status`` for this purpose,
        unless such failures are counted apart."""
        config = self.config
        if not config.split_external_local_origin_errors:
            self.on_status(host, status, now)
            return
        host.local_requests += 1
        host.local_failures += 1
        host.consecutive_local += 1
        if host.consecutive_local == config.consecutive_local_origin_failure:
            host.consecutive_local = 0
            self._detected(host, config.enforcing_consecutive_local_origin_failure, LOCAL_ORIGIN, now)

    # Ejections.

    def _detected(self, host: Host, enforcing: int, why: str, now: float, again: bool = False) -> None:
        if (host.ejected_until and not again) or host not in self._members:
            return  # the last answers of a host that is ejected, or that has left the cluster
        self._count(f"ejections_detected_{why}")
        config = self.config
        allowed = (self.ejected + 1) * 100 <= config.max_ejection_percent * len(self.hosts)
        if not allowed and not (config.always_eject_one_host and not self.ejected):
            # Envoy 1.40: with few hosts a small percentage never ejects any.
            self._count("ejections_overflow")
            return
        if host.ejected_until or (enforcing < 100 and self._random() * 100 >= enforcing):
            return
        self._eject(host, now)
        self._count("ejections_enforced_total")
        self._count(f"ejections_enforced_{why}")
        self._count_active()
        self._changed()

    def _eject(self, host: Host, now: float) -> None:
        config = self.config
        if config.base_ejection_time * host.times_ejected < config.max_ejection_time + config.base_ejection_time:
            host.times_ejected += 1  # no further than the time grows, or good conduct would take as long to count
        duration = min(config.base_ejection_time * host.times_ejected, config.max_ejection_time)
        host.ejected_until = now + max(duration, config.base_ejection_time)
        if config.max_ejection_time_jitter:
            host.ejected_until += self._random() * config.max_ejection_time_jitter

    def on_check_passed(self, host: Host) -> None:
        """An active check of the host succeeded, which brings it back unless the configuration says otherwise."""
        if host.ejected_until and host in self._members and self.config.successful_active_health_check_uneject_host:
            _bring_back(host)
            self._count_active()
            self._changed()

    # The interval.

    @property
    def deadline(self) -> float:
        """When :meth:`sweep` is due next."""
        return self.swept_at + self.config.interval

    def sweep(self, now: float) -> None:
        """Every interval: hosts whose time is over come back; one that behaved is forgiven an ejection; and those that did
        much worse than others since the last time are ejected."""
        self.swept_at = now
        changed = False
        for host in self.hosts:
            if host.ejected_until:
                if now >= host.ejected_until:
                    _bring_back(host)
                    changed = True
            elif host.times_ejected:
                host.times_ejected -= 1
        if changed:
            self._count_active()
            self._changed()
        self._compare(now)
        for host in self.hosts:
            host.external_requests = host.external_failures = host.local_requests = host.local_failures = 0

    def _compare(self, now: float) -> None:
        config = self.config
        rates = [_rate(host.external_requests, host.external_failures) for host in self.hosts]
        for host, rate in zip(self.hosts, rates, strict=True):
            host.success_rate = self._shown(rate, host.external_requests, host)
        self.average, self.threshold = self._judge(
            rates, [host.external_requests for host in self.hosts],
            (config.enforcing_success_rate, SUCCESS_RATE),
            (config.enforcing_failure_percentage, FAILURE_PERCENTAGE), now,
        )  # fmt: skip
        if not config.split_external_local_origin_errors:
            return
        rates = [_rate(host.local_requests, host.local_failures) for host in self.hosts]
        for host, rate in zip(self.hosts, rates, strict=True):
            host.local_success_rate = self._shown(rate, host.local_requests, host)
        self.local_average, self.local_threshold = self._judge(
            rates, [host.local_requests for host in self.hosts],
            (config.enforcing_local_origin_success_rate, LOCAL_SUCCESS_RATE),
            (config.enforcing_failure_percentage_local_origin, LOCAL_FAILURE_PERCENTAGE), now,
        )  # fmt: skip

    def _shown(self, rate: float, requests: int, host: Host) -> float:
        """What ``/clusters`` shows: the rate, where enough requests were made and enough hosts are there."""
        config = self.config
        least = min(config.success_rate_minimum_hosts, config.failure_percentage_minimum_hosts)
        volume = min(config.success_rate_request_volume, config.failure_percentage_request_volume)
        if len(self.hosts) < least or host.ejected_until or not requests or requests < volume:
            return -1.0
        return rate

    def _judge(
        self,
        rates: Sequence[float],
        volumes: Sequence[int],
        by_rate: tuple[int, str],
        by_percentage: tuple[int, str],
        now: float,
    ) -> tuple[float, float]:
        """Ejects by the rates of the interval; the average of those that count, and below what a host is ejected."""
        config, average, threshold = self.config, -1.0, -1.0
        rows = [
            (host, rate, volume)
            for host, rate, volume in zip(self.hosts, rates, volumes, strict=True)
            if volume and not host.ejected_until
        ]
        valid = [(host, rate) for host, rate, volume in rows if volume >= config.success_rate_request_volume]
        if valid and len(valid) >= config.success_rate_minimum_hosts:
            average, deviation = _spread([rate for _, rate in valid])
            threshold = average - deviation * config.success_rate_stdev_factor / 1000.0
            for host, rate in valid:
                if rate < threshold:
                    self._detected(host, by_rate[0], by_rate[1], now)
        counted = [(host, rate) for host, rate, volume in rows if volume >= config.failure_percentage_request_volume]
        if counted and len(counted) >= config.failure_percentage_minimum_hosts:
            for host, rate in counted:
                if 100.0 - rate >= config.failure_percentage_threshold:
                    # Counted also of a host that its rate has just ejected (Envoy 1.40, measured).
                    self._detected(host, by_percentage[0], by_percentage[1], now, True)
        return average, threshold

    def _count_active(self) -> None:
        self.ejected = sum(1 for host in self.hosts if host.ejected_until)
        if self.ejected or "ejections_active" in self.counters:
            self.counters["ejections_active"] = self.ejected

    def _count(self, name: str) -> None:
        self.counters[name] = self.counters.get(name, 0) + 1


def _bring_back(host: Host) -> None:
    host.ejected_until = 0.0
    # What failed meanwhile says nothing of the host that comes back.
    host.consecutive_5xx = host.consecutive_gateway = host.consecutive_local = 0


def _rate(requests: int, failures: int) -> float:
    return 100.0 * (requests - failures) / requests if requests else -1.0


def _spread(rates: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation."""
    mean = sum(rates) / len(rates)
    return mean, math.sqrt(sum((rate - mean) ** 2 for rate in rates) / len(rates))

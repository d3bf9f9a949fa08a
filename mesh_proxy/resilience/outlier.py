"""Outlier detection: hosts that fail too often in a row are ejected for a while (Envoy's ``outlier_detection``)."""

from collections.abc import Callable, Sequence

from mesh_api.config import OutlierDetection
from mesh_proxy.balancing.host import Host


class Outliers:
    """Watches the hosts of one cluster. ``changed`` is called when one was ejected or came back."""

    __slots__ = ("_changed", "_random", "config", "counters", "hosts", "swept_at")

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
        self.hosts = hosts
        self._random = random
        self._changed = changed
        self.swept_at = swept_at
        self.counters = counters
        if "ejections_active" in counters:
            self._count_active()  # an ejected host may have left with the configuration before

    def on_status(self, host: Host, status: int, now: float) -> None:
        """The host answered."""
        config = self.config
        host.consecutive_local = 0
        if status < 500:
            host.consecutive_5xx = host.consecutive_gateway = 0
            return
        if status in (502, 503, 504):
            host.consecutive_gateway += 1
            if host.consecutive_gateway == config.consecutive_gateway_failure:
                host.consecutive_gateway = 0
                self._eject(host, config.enforcing_consecutive_gateway_failure, "consecutive_gateway_failure", now)
        else:
            host.consecutive_gateway = 0
        host.consecutive_5xx += 1
        if host.consecutive_5xx == config.consecutive_5xx:
            host.consecutive_5xx = 0
            self._eject(host, config.enforcing_consecutive_5xx, "consecutive_5xx", now)

    def on_local_failure(self, host: Host, now: float) -> None:
        """The host could not be reached or broke off: a 503 for this purpose, unless such failures are counted apart."""
        config = self.config
        if not config.split_external_local_origin_errors:
            self.on_status(host, 503, now)
            return
        host.consecutive_local += 1
        if host.consecutive_local == config.consecutive_local_origin_failure:
            host.consecutive_local = 0
            enforcing = config.enforcing_consecutive_local_origin_failure
            self._eject(host, enforcing, "consecutive_local_origin_failure", now)

    def _eject(self, host: Host, enforcing: int, why: str, now: float) -> None:
        if host.ejected_until or host not in self.hosts:
            return  # the last answers of a host that is ejected, or that has left the cluster
        self._count(f"ejections_detected_{why}")
        config = self.config
        ejected = sum(1 for other in self.hosts if other.ejected_until)
        if (ejected + 1) * 100 > config.max_ejection_percent * len(self.hosts):
            # Envoy 1.40: with few hosts a small percentage never ejects any.
            self._count("ejections_overflow")
            return
        if enforcing < 100 and self._random() * 100 >= enforcing:
            return
        if config.base_ejection_time * host.times_ejected < config.max_ejection_time + config.base_ejection_time:
            host.times_ejected += 1  # no further than the time grows, or good conduct would take as long to count
        duration = min(config.base_ejection_time * host.times_ejected, config.max_ejection_time)
        host.ejected_until = now + max(duration, config.base_ejection_time)
        self._count("ejections_enforced_total")
        self._count(f"ejections_enforced_{why}")
        self._count_active()
        self._changed()

    @property
    def deadline(self) -> float:
        """When :meth:`sweep` is due next."""
        return self.swept_at + self.config.interval

    def sweep(self, now: float) -> None:
        """Every interval: hosts whose time is over come back; one that behaved is forgiven an ejection."""
        self.swept_at = now
        changed = False
        for host in self.hosts:
            if host.ejected_until:
                if now >= host.ejected_until:
                    host.ejected_until = 0.0
                    # What failed meanwhile says nothing of the host that comes back.
                    host.consecutive_5xx = host.consecutive_gateway = host.consecutive_local = 0
                    changed = True
            elif host.times_ejected:
                host.times_ejected -= 1
        if changed:
            self._count_active()
            self._changed()

    def _count_active(self) -> None:
        self.counters["ejections_active"] = sum(1 for host in self.hosts if host.ejected_until)

    def _count(self, name: str) -> None:
        self.counters[name] = self.counters.get(name, 0) + 1

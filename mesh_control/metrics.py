"""Metrics in Prometheus' text form, under istiod's names where it has the same. No global registry: one object for each
control plane."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

Labels = tuple[tuple[str, str], ...]


class Metric(NamedTuple):
    """What a name means. ``buckets`` (upper bounds) make it a histogram."""

    kind: str
    text: str
    buckets: tuple[float, ...] = ()


SECONDS = (0.1, 0.5, 1.0, 3.0, 5.0, 10.0, 20.0, 30.0)
SHORT_SECONDS = (0.01, 0.1, 1.0, 3.0, 5.0, 10.0, 20.0, 30.0)
PREPARING_SECONDS = (0.01, 0.1, 0.5, 1.0, 3.0, 5.0)
BYTES = (1.0, 10_000.0, 1_000_000.0, 4_000_000.0, 10_000_000.0, 40_000_000.0)

METRICS: Mapping[str, Metric] = {
    "pilot_info": Metric("gauge", "Always 1; the version is a label."),
    "pilot_xds": Metric("gauge", "Proxies that are connected, by version."),
    "pilot_services": Metric("gauge", "Services that are known."),
    "pilot_virt_services": Metric("gauge", "VirtualServices that are in force."),
    "pilot_push_triggers": Metric("counter", "Reasons to compile, by type."),
    "pilot_xds_pushes": Metric("counter", "Responses sent, by type."),
    "pilot_xds_config_size_bytes": Metric("histogram", "Size of the resources of a response, by type.", BYTES),
    "pilot_total_xds_rejects": Metric("counter", "Responses that proxies refused, by type."),
    "pilot_proxy_convergence_time": Metric(
        "histogram", "Seconds from a change to the moment when a proxy has taken all of it.", SECONDS
    ),
    "pilot_debounce_time": Metric(
        "histogram", "Seconds from the first of some joined changes to their push.", SHORT_SECONDS
    ),
    "pilot_pushcontext_init_seconds": Metric(
        "histogram", "Seconds that it took to read the sources and to make a world of them.", PREPARING_SECONDS
    ),
    "pilot_xds_push_time": Metric(
        "histogram",
        "Seconds that it took to compile a new world for all proxies and to begin to send it.",
        SHORT_SECONDS,
    ),
    "pilot_proxy_queue_time": Metric(
        "histogram", "Seconds that a response waited for its connection before it was handed over to gRPC.", SECONDS
    ),
    "pilot_inbound_updates": Metric("counter", "Changes that sources told of, by type."),
    "pilot_xds_cds_reject": Metric("counter", "Refused clusters."),
    "pilot_xds_eds_reject": Metric("counter", "Refused endpoints."),
    "pilot_xds_lds_reject": Metric("counter", "Refused listeners."),
    "pilot_xds_rds_reject": Metric("counter", "Refused routes."),
    "pilot_sds_certificate_errors_total": Metric("counter", "Secrets that a proxy asked for and did not get."),
    "pilot_xds_expired_nonce": Metric("counter", "Answers to responses that nobody waits for any more, by type."),
    "pilot_xds_write_timeout": Metric("counter", "Connections ended because their client asked for more than it read."),
    "meshwright_control_rollbacks": Metric("counter", "Worlds that too many proxies refused."),
    "meshwright_control_missing_proxies": Metric("gauge", "Workloads whose proxy is not connected."),
    "meshwright_control_unsynced_proxies": Metric("gauge", "Connected proxies that have not taken everything."),
    "meshwright_control_source_problems": Metric("gauge", "Files of the sources that cannot be used as they are."),
    "meshwright_control_connections_refused": Metric(
        "counter",
        "Connections to the port of certificates that were refused or ended and had proven nothing, by reason.",
    ),
    "citadel_server_csr_count": Metric("counter", "Requests for certificates."),
    "citadel_server_authentication_failure_count": Metric("counter", "Requests whose sender proved no identity."),
    "citadel_server_csr_sign_err_count": Metric("counter", "Requests that were refused for another reason, by error."),
    "citadel_server_success_cert_issuance_count": Metric("counter", "Certificates issued to workloads."),
    "citadel_server_root_cert_expiry_timestamp": Metric("gauge", "When the root expires, in seconds since 1970."),
    "citadel_server_root_cert_expiry_seconds": Metric("gauge", "Seconds until the root expires."),
    "citadel_server_cert_chain_expiry_timestamp": Metric(
        "gauge", "When the given intermediate expires, in seconds since 1970."
    ),
    "citadel_server_cert_chain_expiry_seconds": Metric("gauge", "Seconds until the given intermediate expires."),
    "sidecar_injection_requests_total": Metric("counter", "Questions of an API server about new pods."),
    "sidecar_injection_success_total": Metric("counter", "Pods that got a proxy."),
    "sidecar_injection_failure_total": Metric("counter", "Pods that were refused, as they cannot have a proxy."),
    "sidecar_injection_skip_total": Metric("counter", "Pods that stay without a proxy."),
    "galley_validation_passed": Metric("counter", "Objects that the webhook took, by group, version and resource."),
    "galley_validation_failed": Metric("counter", "Objects that it refused, by these and the reason."),
    "galley_validation_http_error": Metric("counter", "Questions that it could not answer, by HTTP status."),
    "auto_registration_success_total": Metric("counter", "Workloads that registered themselves."),
    "auto_registration_updates_total": Metric("counter", "Registered workloads that came back."),
    "auto_registration_unregister_total": Metric("counter", "Registered workloads that disconnected."),
    "auto_registration_deletes_total": Metric("counter", "Registrations removed because nobody came back in time."),
    "auto_registration_errors_total": Metric("counter", "Registrations that were refused."),
    "meshwright_control_refused_sets": Metric("counter", "Sets of policies that were not put in force, by status."),
}
"""Every name that is shown. A name that is not here is an error at its first use."""


class Metrics:
    """Counters and histograms by name and labels."""

    def __init__(self) -> None:
        self._values: dict[str, dict[Labels, float]] = {}
        self._histograms: dict[str, dict[Labels, _Histogram]] = {}

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Adds to a counter."""
        series = self._values.setdefault(_known(name, "counter"), {})
        key = tuple(sorted(labels.items()))
        series[key] = series.get(key, 0) + amount

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Sets a gauge."""
        self._values.setdefault(_known(name, "gauge"), {})[tuple(sorted(labels.items()))] = value

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Adds a value to a histogram."""
        series = self._histograms.setdefault(_known(name, "histogram"), {})
        series.setdefault(tuple(sorted(labels.items())), _Histogram(METRICS[name].buckets)).add(value)

    def value(self, name: str, **labels: str) -> float:
        """A counter's or gauge's value; 0 before its first use."""
        return self._values.get(name, {}).get(tuple(sorted(labels.items())), 0)

    def exposition(self) -> str:
        """All families that have a value, in the order of :data:`METRICS`."""
        lines: list[str] = []
        for name, metric in METRICS.items():
            samples = [_sample(name, labels, value) for labels, value in sorted(self._values.get(name, {}).items())]
            for labels, histogram in sorted(self._histograms.get(name, {}).items()):
                samples += histogram.samples(name, labels)
            if samples:
                lines += [f"# HELP {name} {metric.text}", f"# TYPE {name} {metric.kind}", *samples]
        return "\n".join([*lines, ""])


class _Histogram:
    """Counts of values between the bounds, their sum."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        self._sum += value
        self._counts[bisect_left(self._bounds, value)] += 1

    def samples(self, name: str, labels: Labels) -> list[str]:
        bounds = [*(f"{bound:g}" for bound in self._bounds), "+Inf"]
        upto = list(accumulate(self._counts))
        found = [
            _sample(f"{name}_bucket", (*labels, ("le", bound)), count)
            for bound, count in zip(bounds, upto, strict=True)
        ]
        return [*found, _sample(f"{name}_sum", labels, self._sum), _sample(f"{name}_count", labels, upto[-1])]


def _known(name: str, kind: str) -> str:
    if METRICS[name].kind != kind:
        raise KeyError(f"{name} is a {METRICS[name].kind}, not a {kind}")
    return name


def _sample(name: str, labels: Labels, value: float) -> str:
    inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
    return f"{name}{{{inside}}} {value:.10g}" if inside else f"{name} {value:.10g}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

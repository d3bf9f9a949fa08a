"""What protects a cluster's hosts: circuit breakers and outlier detection."""

from typing import Any, Final

from envoy.config.cluster.v3 import circuit_breaker_pb2, outlier_detection_pb2
from envoy.config.core.v3 import base_pb2

from mesh_api.config.clusters import CircuitBreakerThresholds, OutlierDetection, RetryBudget
from mesh_api.xds.fields import Fields
from mesh_api.xds.values import boolean, duration, percent_of, seconds, uint32

_OUTLIER_DEFAULT = OutlierDetection()
_OUTLIER_MORE: Final = (
    "success_rate_minimum_hosts",
    "success_rate_request_volume",
    "success_rate_stdev_factor",
    "failure_percentage_threshold",
    "enforcing_failure_percentage",
    "enforcing_failure_percentage_local_origin",
    "failure_percentage_minimum_hosts",
    "failure_percentage_request_volume",
)
"""Those whose defaults are Envoy's in our own class, too: written where they differ."""
_THRESHOLDS = ("max_connections", "max_pending_requests", "max_requests", "max_retries")
_OUTLIER_TIMES = ("interval", "base_ejection_time", "max_ejection_time")
_OUTLIER_NUMBERS: Final = {
    "consecutive_5xx": 5,
    "consecutive_gateway_failure": 5,
    "consecutive_local_origin_failure": 5,
    "max_ejection_percent": 10,
    "enforcing_consecutive_5xx": 100,
    "enforcing_consecutive_gateway_failure": 0,
    "enforcing_consecutive_local_origin_failure": 100,
    "enforcing_success_rate": 100,
}
"""Field to Envoy's default. All are written, so that a reader's own defaults do not matter."""


def encode_thresholds(thresholds: CircuitBreakerThresholds, priority: str = "DEFAULT") -> Any:
    """``CircuitBreakers.Thresholds``."""
    message = circuit_breaker_pb2.CircuitBreakers.Thresholds(
        priority=base_pb2.RoutingPriority.Value(priority),
        max_connection_pools=uint32(thresholds.max_connection_pools),
        **{field: uint32(getattr(thresholds, field)) for field in _THRESHOLDS},
    )
    budget = thresholds.retry_budget
    if budget is not None:
        message.retry_budget.budget_percent.value = budget.percent
        message.retry_budget.min_retry_concurrency.value = budget.min_concurrency
        if budget.interval:
            message.retry_budget.budget_interval.CopyFrom(duration(budget.interval))
    return message


def encode_outlier_detection(detection: OutlierDetection) -> Any:
    """``OutlierDetection``."""
    return outlier_detection_pb2.OutlierDetection(
        **{field: duration(getattr(detection, field)) for field in _OUTLIER_TIMES},
        **{field: uint32(getattr(detection, field)) for field in _OUTLIER_NUMBERS},
        **{
            field: uint32(getattr(detection, field), unless=getattr(_OUTLIER_DEFAULT, field)) for field in _OUTLIER_MORE
        },
        enforcing_local_origin_success_rate=uint32(detection.enforcing_local_origin_success_rate),
        split_external_local_origin_errors=detection.split_external_local_origin_errors,
        max_ejection_time_jitter=duration(detection.max_ejection_time_jitter or None),
        successful_active_health_check_uneject_host=boolean(
            detection.successful_active_health_check_uneject_host, unless=True
        ),
        always_eject_one_host=boolean(detection.always_eject_one_host, unless=False),
    )


def decode_breakers(fields: Fields) -> dict[str, Any]:
    """The fields of :class:`Cluster` that stand in ``circuit_breakers``; of several entries of a priority the first holds."""
    names = {"DEFAULT": "thresholds", "HIGH": "high_thresholds"}
    found: dict[str, Any] = {}
    with fields.child("circuit_breakers") as breakers:
        for entry in breakers.children("thresholds"):
            priority, thresholds = _decode_priority(entry)
            found.setdefault(names[priority], thresholds)
        for entry in breakers.children("per_host_thresholds"):
            with entry as f:
                f.enum("priority", "DEFAULT")
                found.setdefault("max_connections_per_host", f.wrapped("max_connections"))
    return found


def _decode_priority(fields: Fields) -> tuple[str, CircuitBreakerThresholds]:
    with fields as f:
        defaults = CircuitBreakerThresholds()
        return f.enum("priority", "DEFAULT", "HIGH"), CircuitBreakerThresholds(
            **{name: f.wrapped_number(name, getattr(defaults, name)) for name in _THRESHOLDS},
            retry_budget=_decode_budget(f.optional("retry_budget")),
            max_connection_pools=f.wrapped("max_connection_pools"),
        )


def _decode_budget(fields: Fields | None) -> RetryBudget | None:
    if fields is None:
        return None
    with fields as f:
        return RetryBudget(
            percent_of(f.optional("budget_percent"), 20.0),
            f.wrapped_number("min_retry_concurrency", 3),
            seconds(f, "budget_interval", 0.0),
        )


def decode_outlier_detection(fields: Fields | None) -> OutlierDetection | None:
    """From ``OutlierDetection``."""
    if fields is None:
        return None
    with fields as f:
        split = f.flag("split_external_local_origin_errors")
        local_rate = f.wrapped_number("enforcing_local_origin_success_rate", 100)
        base = seconds(f, "base_ejection_time", 30.0)
        return OutlierDetection(
            **{name: f.wrapped_number(name, default) for name, default in _OUTLIER_NUMBERS.items()},
            interval=seconds(f, "interval", 10.0),
            base_ejection_time=base,
            max_ejection_time=seconds(f, "max_ejection_time", max(300.0, base)),
            split_external_local_origin_errors=split,
            enforcing_local_origin_success_rate=local_rate if split else 0,
            **{name: f.wrapped_number(name, getattr(_OUTLIER_DEFAULT, name)) for name in _OUTLIER_MORE},
            max_ejection_time_jitter=seconds(f, "max_ejection_time_jitter", 0.0),
            successful_active_health_check_uneject_host=f.wrapped_flag(
                "successful_active_health_check_uneject_host", default=True
            ),
            always_eject_one_host=f.wrapped_flag("always_eject_one_host", default=False),
        )

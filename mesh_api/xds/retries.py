"""Retry policies (``route.v3.RetryPolicy``)."""

from typing import Any, Final

from envoy.config.route.v3 import route_components_pb2 as route_pb2
from envoy.extensions.retry.host.omit_canary_hosts.v3 import omit_canary_hosts_pb2
from envoy.extensions.retry.host.omit_host_metadata.v3 import omit_host_metadata_config_pb2
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2
from envoy.extensions.retry.priority.previous_priorities.v3 import (
    previous_priorities_config_pb2 as previous_priorities_pb2,
)

from mesh_api.config.routes import RateLimitedBackOff, RetryPolicy
from mesh_api.xds.fields import Fields
from mesh_api.xds.labels import encode_labels, read_match
from mesh_api.xds.matchers import decode_header_match, encode_header_match
from mesh_api.xds.values import duration, pack, uint32, unpack

BACK_OFF_BASE: Final = 0.025
"""Envoy's default base interval, in seconds."""

PREVIOUS_HOSTS: Final = "envoy.retry_host_predicates.previous_hosts"
PREVIOUS_PRIORITIES: Final = "envoy.retry_priorities.previous_priorities"
OMIT_CANARY: Final = "envoy.retry_host_predicates.omit_canary_hosts"
OMIT_METADATA: Final = "envoy.retry_host_predicates.omit_host_metadata"
MAX_RESET_INTERVAL: Final = 300.0
"""Envoy's default, in seconds."""

_RESET = route_pb2.RetryPolicy.ResetHeader
_LIMITED = route_pb2.RetryPolicy.RateLimitedRetryBackOff


def encode_retry(policy: RetryPolicy) -> Any:
    """``RetryPolicy``."""
    message = route_pb2.RetryPolicy(
        retry_on=",".join(policy.retry_on),
        num_retries=uint32(policy.num_retries),
        per_try_timeout=duration(policy.per_try_timeout),
        per_try_idle_timeout=duration(policy.per_try_idle_timeout),
        host_selection_retry_max_attempts=policy.host_selection_retry_max_attempts,
        retriable_status_codes=policy.retriable_status_codes,
        retriable_headers=[encode_header_match(match) for match in policy.retriable_headers],
        retriable_request_headers=[encode_header_match(match) for match in policy.retriable_request_headers],
        rate_limited_retry_back_off=_encode_limited(policy.rate_limited_back_off),
    )
    _encode_predicates(policy, message)
    if policy.other_priorities:
        message.retry_priority.name = PREVIOUS_PRIORITIES
        config = previous_priorities_pb2.PreviousPrioritiesConfig(update_frequency=policy.priority_update_frequency)
        message.retry_priority.typed_config.CopyFrom(pack(config))
    if policy.back_off_base != BACK_OFF_BASE or policy.back_off_max is not None:
        message.retry_back_off.CopyFrom(
            route_pb2.RetryPolicy.RetryBackOff(
                base_interval=duration(policy.back_off_base), max_interval=duration(policy.back_off_max)
            )
        )
    return message


def _encode_predicates(policy: RetryPolicy, message: Any) -> None:
    configs = {
        PREVIOUS_HOSTS: previous_hosts_pb2.PreviousHostsPredicate() if policy.avoid_previous_hosts else None,
        OMIT_CANARY: omit_canary_hosts_pb2.OmitCanaryHostsPredicate() if policy.omit_canary else None,
        OMIT_METADATA: omit_host_metadata_config_pb2.OmitHostMetadataConfig(
            metadata_match=encode_labels(policy.omit_host_metadata)
        )
        if policy.omit_host_metadata
        else None,
    }
    for name, config in configs.items():
        if config is not None:
            message.retry_host_predicate.add(name=name).typed_config.CopyFrom(pack(config))


def _encode_limited(limited: RateLimitedBackOff | None) -> Any:
    if limited is None:
        return None
    return _LIMITED(
        reset_headers=[
            _RESET(name=name, format=route_pb2.RetryPolicy.ResetHeaderFormat.Value(form))
            for name, form in limited.reset_headers
        ],
        max_interval=duration(limited.max_interval),
    )


def _decode_limited(fields: Fields | None) -> RateLimitedBackOff | None:
    if fields is None:
        return None
    with fields as f:
        longest = f.duration("max_interval")
        headers = tuple(_decode_reset(header) for header in f.children("reset_headers"))
        return RateLimitedBackOff(headers, MAX_RESET_INTERVAL if longest is None else longest)


def _decode_reset(fields: Fields) -> tuple[str, str]:
    with fields as f:
        return f.text("name"), f.enum("format")


def decode_retry(fields: Fields) -> RetryPolicy:
    """From ``RetryPolicy``."""
    with fields as f:
        base, longest = _decode_back_off(f.optional("retry_back_off"))
        frequency = _decode_priority(f.optional("retry_priority"))
        return RetryPolicy(
            retry_on=tuple(part.strip() for part in f.text("retry_on").split(",") if part.strip()),
            num_retries=f.wrapped_number("num_retries", 1),
            per_try_timeout=f.duration("per_try_timeout"),
            retriable_status_codes=tuple(f.take("retriable_status_codes")),
            host_selection_retry_max_attempts=f.number("host_selection_retry_max_attempts") or 1,
            **_decode_predicates(f),
            other_priorities=frequency is not None,
            priority_update_frequency=2 if frequency is None else frequency,
            retriable_headers=tuple(decode_header_match(m) for m in f.children("retriable_headers")),
            per_try_idle_timeout=f.duration("per_try_idle_timeout"),
            rate_limited_back_off=_decode_limited(f.optional("rate_limited_retry_back_off")),
            back_off_base=base,
            back_off_max=longest,
            retriable_request_headers=tuple(decode_header_match(m) for m in f.children("retriable_request_headers")),
        )


def _decode_back_off(fields: Fields | None) -> tuple[float, float | None]:
    if fields is None:
        return BACK_OFF_BASE, None
    with fields as f:
        base = f.duration("base_interval")
        return BACK_OFF_BASE if base is None else base, f.duration("max_interval")


def _decode_priority(fields: Fields | None) -> int | None:
    """After how many attempts another priority is chosen; ``None``: never."""
    if fields is None:
        return None
    with fields as f:
        f.text("name")
        _, config = unpack(f.child("typed_config"), (previous_priorities_pb2.PreviousPrioritiesConfig,))
        with config as c:
            frequency = c.number("update_frequency")
            if frequency < 1:
                raise c.error("update_frequency", "must be more than 0")
            return frequency


def _decode_predicates(fields: Fields) -> dict[str, Any]:
    """The fields of :class:`RetryPolicy` about hosts that are avoided."""
    found: dict[str, Any] = {}
    known = (
        previous_hosts_pb2.PreviousHostsPredicate,
        omit_canary_hosts_pb2.OmitCanaryHostsPredicate,
        omit_host_metadata_config_pb2.OmitHostMetadataConfig,
    )
    for predicate in fields.children("retry_host_predicate"):
        with predicate as p:
            p.text("name")
            kind, config = unpack(p.child("typed_config"), known)
            with config as c:
                if kind is known[0]:
                    found["avoid_previous_hosts"] = True
                elif kind is known[1]:
                    found["omit_canary"] = True
                else:
                    found["omit_host_metadata"] = read_match(c.optional("metadata_match"))
    return found

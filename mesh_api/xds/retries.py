"""Retry policies (``route.v3.RetryPolicy``)."""

from typing import Any, Final

from envoy.config.route.v3 import route_components_pb2 as route_pb2
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2
from envoy.extensions.retry.priority.previous_priorities.v3 import (
    previous_priorities_config_pb2 as previous_priorities_pb2,
)

from mesh_api.config.routes import RetryPolicy
from mesh_api.xds.fields import Fields
from mesh_api.xds.matchers import decode_header_match, encode_header_match
from mesh_api.xds.values import duration, pack, uint32, unpack

BACK_OFF_BASE: Final = 0.025
"""Envoy's default base interval, in seconds."""

PREVIOUS_HOSTS: Final = "envoy.retry_host_predicates.previous_hosts"
PREVIOUS_PRIORITIES: Final = "envoy.retry_priorities.previous_priorities"
UPDATE_FREQUENCY: Final = 2
"""Retries after which another priority is chosen, as Istio has it."""


def encode_retry(policy: RetryPolicy) -> Any:
    """``RetryPolicy``."""
    message = route_pb2.RetryPolicy(
        retry_on=",".join(policy.retry_on),
        num_retries=uint32(policy.num_retries),
        per_try_timeout=duration(policy.per_try_timeout),
        host_selection_retry_max_attempts=policy.host_selection_retry_max_attempts,
        retriable_status_codes=policy.retriable_status_codes,
        retriable_request_headers=[encode_header_match(match) for match in policy.retriable_request_headers],
    )
    if policy.avoid_previous_hosts:
        predicate = message.retry_host_predicate.add(name=PREVIOUS_HOSTS)
        predicate.typed_config.CopyFrom(pack(previous_hosts_pb2.PreviousHostsPredicate()))
    if policy.other_priorities:
        message.retry_priority.name = PREVIOUS_PRIORITIES
        config = previous_priorities_pb2.PreviousPrioritiesConfig(update_frequency=UPDATE_FREQUENCY)
        message.retry_priority.typed_config.CopyFrom(pack(config))
    if policy.back_off_base != BACK_OFF_BASE or policy.back_off_max is not None:
        message.retry_back_off.CopyFrom(
            route_pb2.RetryPolicy.RetryBackOff(
                base_interval=duration(policy.back_off_base), max_interval=duration(policy.back_off_max)
            )
        )
    return message


def decode_retry(fields: Fields) -> RetryPolicy:
    """From ``RetryPolicy``."""
    with fields as f:
        base, longest = _decode_back_off(f.optional("retry_back_off"))
        return RetryPolicy(
            retry_on=tuple(part.strip() for part in f.text("retry_on").split(",") if part.strip()),
            num_retries=f.wrapped_number("num_retries", 1),
            per_try_timeout=f.duration("per_try_timeout"),
            retriable_status_codes=tuple(f.take("retriable_status_codes")),
            host_selection_retry_max_attempts=f.number("host_selection_retry_max_attempts") or 1,
            avoid_previous_hosts=_decode_predicates(f),
            other_priorities=_decode_priority(f.optional("retry_priority")),
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


def _decode_priority(fields: Fields | None) -> bool:
    if fields is None:
        return False
    with fields as f:
        f.text("name")
        _, config = unpack(f.child("typed_config"), (previous_priorities_pb2.PreviousPrioritiesConfig,))
        with config as c:
            if c.number("update_frequency") != UPDATE_FREQUENCY:
                raise c.error("update_frequency", f"is not {UPDATE_FREQUENCY}, which alone is supported")
        return True


def _decode_predicates(fields: Fields) -> bool:
    """Whether hosts that were tried are avoided; the only predicate that is supported."""
    found = False
    for predicate in fields.children("retry_host_predicate"):
        with predicate as p:
            p.text("name")
            _, config = unpack(p.child("typed_config"), (previous_hosts_pb2.PreviousHostsPredicate,))
            with config:
                found = True
    return found

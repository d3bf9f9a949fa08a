"""The load balancing policy of a cluster and its parameters (``Cluster.lb_config``)."""

from dataclasses import replace
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import base_pb2
from envoy.type.v3 import percent_pb2
from google.protobuf import wrappers_pb2

from mesh_api.config.clusters import Cluster, LbPolicy, RingHashConfig, SlowStart
from mesh_api.xds.errors import EncodeError
from mesh_api.xds.fields import Fields
from mesh_api.xds.values import duration

CHOICES = 2
"""Envoy's default number of hosts that least request compares."""

NO_KEY = "("
"""Envoy requires a runtime key: Istio's, which no layer can define, so that the default value holds."""

_DEFAULT_HASH = RingHashConfig()


def encode_load_balancing(cluster: Cluster, message: Any) -> None:
    """Writes policy and parameters into the ``Cluster`` message."""
    _check(cluster)
    policy = cluster.lb_policy
    message.lb_policy = cluster_pb2.Cluster.LbPolicy.Value(policy.value)
    if policy is LbPolicy.LEAST_REQUEST and cluster.least_request_choice_count != CHOICES:
        message.least_request_lb_config.choice_count.value = cluster.least_request_choice_count
    if cluster.slow_start is not None:
        least = policy is LbPolicy.LEAST_REQUEST
        config = message.least_request_lb_config if least else message.round_robin_lb_config
        config.slow_start_config.CopyFrom(_encode_slow_start(cluster.slow_start))
    if cluster.active_request_bias != 1.0:
        bias = base_pb2.RuntimeDouble(default_value=cluster.active_request_bias, runtime_key=NO_KEY)
        message.least_request_lb_config.active_request_bias.CopyFrom(bias)
    if cluster.ring_hash is not None and policy is LbPolicy.RING_HASH:
        ring = message.ring_hash_lb_config
        ring.minimum_ring_size.CopyFrom(wrappers_pb2.UInt64Value(value=cluster.ring_hash.minimum_ring_size))
        ring.hash_function = cluster_pb2.Cluster.RingHashLbConfig.HashFunction.Value(cluster.ring_hash.hash_function)
        if cluster.ring_hash.maximum_ring_size != _DEFAULT_HASH.maximum_ring_size:
            ring.maximum_ring_size.CopyFrom(wrappers_pb2.UInt64Value(value=cluster.ring_hash.maximum_ring_size))
    if cluster.ring_hash is not None and policy is LbPolicy.MAGLEV:
        table_size = wrappers_pb2.UInt64Value(value=cluster.ring_hash.table_size)
        message.maglev_lb_config.table_size.CopyFrom(table_size)


def _check(cluster: Cluster) -> None:
    policy, ring = cluster.lb_policy, cluster.ring_hash
    foreign = {
        "least_request_choice_count": cluster.least_request_choice_count != CHOICES
        and policy is not LbPolicy.LEAST_REQUEST,
        "active_request_bias": cluster.active_request_bias != 1.0 and policy is not LbPolicy.LEAST_REQUEST,
        "slow_start": cluster.slow_start and policy not in (LbPolicy.LEAST_REQUEST, LbPolicy.ROUND_ROBIN),
        "ring_hash": ring and policy not in (LbPolicy.RING_HASH, LbPolicy.MAGLEV),
        "ring_hash.table_size": ring and policy is LbPolicy.RING_HASH and ring.table_size != _DEFAULT_HASH.table_size,
        "ring_hash.minimum_ring_size": ring
        and policy is LbPolicy.MAGLEV
        and (ring.minimum_ring_size, ring.maximum_ring_size)
        != (_DEFAULT_HASH.minimum_ring_size, _DEFAULT_HASH.maximum_ring_size),
    }
    for field, wrong in foreign.items():
        if wrong:
            raise EncodeError(f"cluster {cluster.name}: {field} has no meaning for {policy.value}")


def _encode_slow_start(slow_start: SlowStart) -> Any:
    message = cluster_pb2.Cluster.SlowStartConfig(slow_start_window=duration(slow_start.window))
    if slow_start.aggression is not None:
        rise = base_pb2.RuntimeDouble(default_value=slow_start.aggression, runtime_key=NO_KEY)
        message.aggression.CopyFrom(rise)
    if slow_start.min_weight_percent is not None:
        message.min_weight_percent.CopyFrom(percent_pb2.Percent(value=slow_start.min_weight_percent))
    return message


def decode_load_balancing(fields: Fields) -> dict[str, Any]:
    """Keyword arguments of :class:`Cluster` that are parameters of the policy."""
    kind = fields.oneof("lb_config")
    if kind == "least_request_lb_config":
        with fields.child(kind) as config:
            return {
                "least_request_choice_count": config.wrapped_number("choice_count", CHOICES),
                "slow_start": _decode_slow_start(config.optional("slow_start_config")),
                "active_request_bias": _decode_bias(config.optional("active_request_bias")),
            }
    if kind == "round_robin_lb_config":
        with fields.child(kind) as config:
            return {"slow_start": _decode_slow_start(config.optional("slow_start_config"))}
    if kind == "ring_hash_lb_config":
        with fields.child(kind) as config:
            made = _hash_config(config, "minimum_ring_size", "maximum_ring_size")
            return {"ring_hash": replace(made, hash_function=config.enum("hash_function"))}
    if kind == "maglev_lb_config":
        with fields.child(kind) as config:
            return {"ring_hash": _hash_config(config, "table_size")}
    return {}


def _decode_bias(fields: Fields | None) -> float:
    if fields is None:
        return 1.0
    with fields as f:
        return float(f.take("default_value"))


def _hash_config(fields: Fields, *names: str) -> RingHashConfig:
    found: dict[str, Any] = {name: fields.wrapped_number(name, getattr(_DEFAULT_HASH, name)) for name in names}
    return RingHashConfig(**found)


def _decode_slow_start(fields: Fields | None) -> SlowStart | None:
    if fields is None:
        return None
    with fields as f:
        aggression, minimum = None, None
        if (value := f.optional("aggression")) is not None:
            with value as v:
                aggression = float(v.take("default_value"))
        if (percent := f.optional("min_weight_percent")) is not None:
            with percent as p:
                minimum = float(p.take("value"))
        return SlowStart(
            window=f.duration("slow_start_window") or 0.0, aggression=aggression, min_weight_percent=minimum
        )

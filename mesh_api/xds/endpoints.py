"""Endpoint assignments (``endpoint.v3.ClusterLoadAssignment``)."""

from typing import Any

from envoy.config.core.v3 import base_pb2, health_check_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2

from mesh_api.config.endpoints import ClusterLoadAssignment, Endpoint, HealthStatus, LocalityEndpoints
from mesh_api.xds.addresses import decode_address, encode_address
from mesh_api.xds.fields import Fields
from mesh_api.xds.health_checks import decode_host_check, encode_host_check
from mesh_api.xds.labels import LB, encode_labels, read_labels
from mesh_api.xds.values import duration, fraction, metadata, read_fraction, read_metadata, read_tls_mode, uint32

OVERPROVISIONING = 140
"""Envoy's default factor, in percent."""


def encode_assignment(assignment: ClusterLoadAssignment) -> Any:
    """``ClusterLoadAssignment``."""
    message = endpoint_pb2.ClusterLoadAssignment(
        cluster_name=assignment.cluster_name,
        endpoints=[_encode_locality(locality) for locality in assignment.localities],
    )
    if assignment.overprovisioning_factor != OVERPROVISIONING:
        message.policy.overprovisioning_factor.value = assignment.overprovisioning_factor
    for category, parts in assignment.drop_overloads:
        message.policy.drop_overloads.add(category=category, drop_percentage=fraction(parts))
    if assignment.endpoint_stale_after is not None:
        message.policy.endpoint_stale_after.CopyFrom(duration(assignment.endpoint_stale_after))
    if assignment.weighted_priority_health:
        message.policy.weighted_priority_health = True
    return message


def _encode_locality(locality: LocalityEndpoints) -> Any:
    return endpoint_components_pb2.LocalityLbEndpoints(
        locality=base_pb2.Locality(region=locality.region, zone=locality.zone, sub_zone=locality.sub_zone),
        lb_endpoints=[_encode_endpoint(endpoint) for endpoint in locality.endpoints],
        load_balancing_weight=uint32(locality.weight),
        priority=locality.priority,
    )


def _encode_endpoint(endpoint: Endpoint) -> Any:
    return endpoint_components_pb2.LbEndpoint(
        endpoint=endpoint_components_pb2.Endpoint(
            address=encode_address(endpoint.address),
            hostname=endpoint.hostname,
            health_check_config=encode_host_check(endpoint.health_check),
        ),
        health_status=health_check_pb2.HealthStatus.Value(endpoint.health.value),
        metadata=encode_labels(endpoint.lb_metadata, metadata(endpoint.metadata, endpoint.tls_mode)),
        load_balancing_weight=uint32(endpoint.weight),
    )


def decode_assignment(fields: Fields) -> ClusterLoadAssignment:
    """From ``ClusterLoadAssignment``."""
    with fields as f, f.child("policy") as policy:
        return ClusterLoadAssignment(
            cluster_name=f.text("cluster_name"),
            localities=tuple(_decode_locality(locality) for locality in f.children("endpoints")),
            overprovisioning_factor=policy.wrapped_number("overprovisioning_factor", OVERPROVISIONING),
            drop_overloads=tuple(_decode_drop(drop) for drop in policy.children("drop_overloads")),
            endpoint_stale_after=policy.duration("endpoint_stale_after"),
            weighted_priority_health=policy.flag("weighted_priority_health"),
        )


def _decode_drop(fields: Fields) -> tuple[str, int]:
    with fields as f:
        return f.text("category"), read_fraction(f.optional("drop_percentage"))


def _decode_locality(fields: Fields) -> LocalityEndpoints:
    with fields as f:
        with f.child("locality") as locality:
            region, zone, sub_zone = locality.text("region"), locality.text("zone"), locality.text("sub_zone")
        return LocalityEndpoints(
            endpoints=tuple(_decode_endpoint(endpoint) for endpoint in f.children("lb_endpoints")),
            region=region,
            zone=zone,
            sub_zone=sub_zone,
            priority=f.number("priority"),
            weight=f.wrapped("load_balancing_weight"),
        )


def _decode_endpoint(fields: Fields) -> Endpoint:
    with fields as f:
        with f.child("endpoint") as host:
            address, hostname = decode_address(host.child("address")), host.text("hostname")
            check = decode_host_check(host.optional("health_check_config"))
        health = f.enum("health_status", "UNKNOWN", "HEALTHY", "UNHEALTHY", "DRAINING", "TIMEOUT", "DEGRADED")
        return Endpoint(
            address=address,
            weight=f.wrapped_number("load_balancing_weight", 1),
            # Envoy reads TIMEOUT as UNHEALTHY (core.v3.HealthStatus).
            health=HealthStatus("UNHEALTHY" if health == "TIMEOUT" else health),
            hostname=hostname,
            tls_mode=read_tls_mode(f.optional("metadata")),
            metadata=read_metadata(f.optional("metadata"), LB),
            lb_metadata=read_labels(f.optional("metadata")),
            health_check=check,
        )

"""Endpoint assignments (``endpoint.v3.ClusterLoadAssignment``)."""

from typing import Any

from envoy.config.core.v3 import base_pb2, health_check_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2

from mesh_api.config.endpoints import ClusterLoadAssignment, Endpoint, HealthStatus, LocalityEndpoints
from mesh_api.xds.addresses import decode_address, encode_address
from mesh_api.xds.fields import Fields
from mesh_api.xds.values import metadata, read_metadata, read_tls_mode, uint32

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
        endpoint=endpoint_components_pb2.Endpoint(address=encode_address(endpoint.address), hostname=endpoint.hostname),
        health_status=health_check_pb2.HealthStatus.Value(endpoint.health.value),
        metadata=metadata(endpoint.metadata, endpoint.tls_mode),
        load_balancing_weight=uint32(endpoint.weight),
    )


def decode_assignment(fields: Fields) -> ClusterLoadAssignment:
    """From ``ClusterLoadAssignment``."""
    with fields as f:
        factor = OVERPROVISIONING
        if (policy := f.optional("policy")) is not None:
            with policy as p:
                factor = p.wrapped_number("overprovisioning_factor", OVERPROVISIONING)
        return ClusterLoadAssignment(
            cluster_name=f.text("cluster_name"),
            localities=tuple(_decode_locality(locality) for locality in f.children("endpoints")),
            overprovisioning_factor=factor,
        )


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
        health = f.enum("health_status", "UNKNOWN", "HEALTHY", "UNHEALTHY", "DRAINING", "TIMEOUT")
        return Endpoint(
            address=address,
            weight=f.wrapped_number("load_balancing_weight", 1),
            # Envoy reads TIMEOUT as UNHEALTHY (core.v3.HealthStatus).
            health=HealthStatus("UNHEALTHY" if health == "TIMEOUT" else health),
            hostname=hostname,
            tls_mode=read_tls_mode(f.optional("metadata")),
            metadata=read_metadata(f.optional("metadata")),
        )

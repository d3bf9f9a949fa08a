"""Typed traffic policies: what people write.

The Istio kinds as pydantic models (:data:`KINDS`), read from and written to ordinary Istio YAML (:func:`load_documents`,
:func:`load_path`, :func:`dump`), checked one by one when they are made and against each other by :func:`check`; and releases
as code that expand to those kinds (:class:`Traffic` with :class:`CanaryRelease`, :class:`Timeout`,
:class:`CircuitBreaker`, :class:`Redirect` and the like)::

    Traffic(
        CanaryRelease(service="book-store", stable="v1", candidate="v2", weight=10),
        Timeout(service="book-store", path="/api/v1/books", after="15s"),
    ).expand()

Imports no other package of the mesh.
"""

from typing import TYPE_CHECKING

from mesh_policy.lazy_names import lazily

# ruff: noqa: I001 (it would give each "as" a statement of its own)
if TYPE_CHECKING:
    from mesh_policy.analysis.check import (
        Finding as Finding,
        KnownService as KnownService,
        KnownWorkload as KnownWorkload,
        Level as Level,
        check as check,
    )
    from mesh_policy.base import Metadata as Metadata, Policy as Policy
    from mesh_policy.errors import PolicyError as PolicyError, Problem as Problem
    from mesh_policy.kinds import KINDS as KINDS
    from mesh_policy.load import (
        dump as dump,
        load_documents as load_documents,
        load_everything as load_everything,
        load_path as load_path,
    )
    from mesh_policy.networking.destination_rule import (
        DestinationRule as DestinationRule,
        DestinationRuleSpec as DestinationRuleSpec,
    )
    from mesh_policy.networking.gateway import Gateway as Gateway, GatewaySpec as GatewaySpec
    from mesh_policy.networking.proxy_config import ProxyConfig as ProxyConfig, ProxyConfigSpec as ProxyConfigSpec
    from mesh_policy.networking.service_entry import ServiceEntry as ServiceEntry, ServiceEntrySpec as ServiceEntrySpec
    from mesh_policy.networking.sidecar import Sidecar as Sidecar, SidecarSpec as SidecarSpec
    from mesh_policy.networking.virtual_service import (
        VirtualService as VirtualService,
        VirtualServiceSpec as VirtualServiceSpec,
    )
    from mesh_policy.networking.workload_entry import (
        WorkloadEntry as WorkloadEntry,
        WorkloadEntrySpec as WorkloadEntrySpec,
    )
    from mesh_policy.networking.workload_group import (
        WorkloadGroup as WorkloadGroup,
        WorkloadGroupSpec as WorkloadGroupSpec,
    )
    from mesh_policy.releases import (
        CanaryRelease as CanaryRelease,
        CircuitBreaker as CircuitBreaker,
        Exposed as Exposed,
        Redirect as Redirect,
        Retry as Retry,
        Route as Route,
        Timeout as Timeout,
        Traffic as Traffic,
    )
    from mesh_policy.security.authorization_policy import (
        AuthorizationPolicy as AuthorizationPolicy,
        AuthorizationPolicySpec as AuthorizationPolicySpec,
    )
    from mesh_policy.security.peer_authentication import (
        PeerAuthentication as PeerAuthentication,
        PeerAuthenticationSpec as PeerAuthenticationSpec,
    )
    from mesh_policy.security.request_authentication import (
        RequestAuthentication as RequestAuthentication,
        RequestAuthenticationSpec as RequestAuthenticationSpec,
    )
    from mesh_policy.telemetry.telemetry import Telemetry as Telemetry, TelemetrySpec as TelemetrySpec

_HOMES = {
    "mesh_policy.analysis.check": ("Finding", "KnownService", "KnownWorkload", "Level", "check"),
    "mesh_policy.base": ("Metadata", "Policy"),
    "mesh_policy.errors": ("PolicyError", "Problem"),
    "mesh_policy.kinds": ("KINDS",),
    "mesh_policy.load": ("dump", "load_documents", "load_everything", "load_path"),
    "mesh_policy.networking.destination_rule": ("DestinationRule", "DestinationRuleSpec"),
    "mesh_policy.networking.gateway": ("Gateway", "GatewaySpec"),
    "mesh_policy.networking.proxy_config": ("ProxyConfig", "ProxyConfigSpec"),
    "mesh_policy.networking.service_entry": ("ServiceEntry", "ServiceEntrySpec"),
    "mesh_policy.networking.sidecar": ("Sidecar", "SidecarSpec"),
    "mesh_policy.networking.virtual_service": ("VirtualService", "VirtualServiceSpec"),
    "mesh_policy.networking.workload_entry": ("WorkloadEntry", "WorkloadEntrySpec"),
    "mesh_policy.networking.workload_group": ("WorkloadGroup", "WorkloadGroupSpec"),
    "mesh_policy.releases": (
        "CanaryRelease",
        "CircuitBreaker",
        "Exposed",
        "Redirect",
        "Retry",
        "Route",
        "Timeout",
        "Traffic",
    ),
    "mesh_policy.security.authorization_policy": ("AuthorizationPolicy", "AuthorizationPolicySpec"),
    "mesh_policy.security.peer_authentication": ("PeerAuthentication", "PeerAuthenticationSpec"),
    "mesh_policy.security.request_authentication": ("RequestAuthentication", "RequestAuthenticationSpec"),
    "mesh_policy.telemetry.telemetry": ("Telemetry", "TelemetrySpec"),
}
"""Module to the names that this package shows of it; each is imported when it is first asked for, so that who reads one kind
does not wait for all of them. A name stands here, and above for the type checker."""

__all__, __getattr__, __dir__ = lazily(__name__, _HOMES)

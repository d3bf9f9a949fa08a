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

from mesh_policy.analysis import Finding, KnownService, KnownWorkload, Level, check
from mesh_policy.base import Metadata, Policy
from mesh_policy.errors import PolicyError, Problem
from mesh_policy.kinds import KINDS
from mesh_policy.load import dump, load_documents, load_everything, load_path
from mesh_policy.networking.destination_rule import DestinationRule, DestinationRuleSpec
from mesh_policy.networking.gateway import Gateway, GatewaySpec
from mesh_policy.networking.service_entry import ServiceEntry, ServiceEntrySpec
from mesh_policy.networking.virtual_service import VirtualService, VirtualServiceSpec
from mesh_policy.networking.workload_entry import WorkloadEntry, WorkloadEntrySpec
from mesh_policy.releases import CanaryRelease, CircuitBreaker, Exposed, Redirect, Retry, Route, Timeout, Traffic

__all__ = [
    "KINDS",
    "CanaryRelease",
    "CircuitBreaker",
    "DestinationRule",
    "DestinationRuleSpec",
    "Exposed",
    "Finding",
    "Gateway",
    "GatewaySpec",
    "KnownService",
    "KnownWorkload",
    "Level",
    "Metadata",
    "Policy",
    "PolicyError",
    "Problem",
    "Redirect",
    "Retry",
    "Route",
    "ServiceEntry",
    "ServiceEntrySpec",
    "Timeout",
    "Traffic",
    "VirtualService",
    "VirtualServiceSpec",
    "WorkloadEntry",
    "WorkloadEntrySpec",
    "check",
    "dump",
    "load_documents",
    "load_everything",
    "load_path",
]

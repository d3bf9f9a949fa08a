"""Releases and traffic rules as code: small statements about a service that expand to Istio's kinds.

Istio takes only the oldest VirtualService of a host in the mesh, so statements about one service must end up in one object:
:class:`Traffic` composes them, in an order that does not depend on how they were written down. A release that goes step by
step is moved by a pure state machine (:mod:`mesh_policy.releases.machine`), which the control plane runs.
"""

from mesh_policy.releases.progressive import ABTest, BlueGreen, CanaryRelease, Mirror, Release, Versions
from mesh_policy.releases.statements import CircuitBreaker, Exposed, Redirect, Retry, Route, Statement, Timeout
from mesh_policy.releases.terms import Cookie, ErrorRate, Header, Latency, Limit, Weight
from mesh_policy.releases.traffic import ConflictError, Traffic

__all__ = [
    "ABTest",
    "BlueGreen",
    "CanaryRelease",
    "CircuitBreaker",
    "ConflictError",
    "Cookie",
    "ErrorRate",
    "Exposed",
    "Header",
    "Latency",
    "Limit",
    "Mirror",
    "Redirect",
    "Release",
    "Retry",
    "Route",
    "Statement",
    "Timeout",
    "Traffic",
    "Versions",
    "Weight",
]

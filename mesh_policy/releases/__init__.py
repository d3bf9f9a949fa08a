"""Releases and traffic rules as code: small statements about a service that expand to Istio's kinds.

Istio takes only the oldest VirtualService of a host in the mesh, so statements about one service must end up in one object:
:class:`Traffic` composes them, in an order that does not depend on how they were written down.
"""

from mesh_policy.releases.statements import (
    CanaryRelease,
    CircuitBreaker,
    Exposed,
    Redirect,
    Retry,
    Route,
    Statement,
    Timeout,
)
from mesh_policy.releases.traffic import ConflictError, Traffic

__all__ = [
    "CanaryRelease",
    "CircuitBreaker",
    "ConflictError",
    "Exposed",
    "Redirect",
    "Retry",
    "Route",
    "Statement",
    "Timeout",
    "Traffic",
]

"""HTTP filters: one file, one class each, and the one table of them (:data:`FILTERS`).

A filter looks at a request before it is routed further and may answer it itself. Their order comes from the control plane;
the router is not among them, it is what the worker does when all have passed.
"""

from collections.abc import Callable
from typing import Any, Final

from mesh_api.config import (
    BufferFilter,
    CompressorFilter,
    CorsFilter,
    DecompressorFilter,
    ExtAuthzFilter,
    FaultFilter,
    ForwardProxyFilter,
    GrpcStatsFilter,
    GrpcWebFilter,
    HttpFilter,
    JwtAuthnFilter,
    LocalRateLimitFilter,
    RbacFilter,
    RouterFilter,
    ServiceMetrics,
)
from mesh_proxy.filters.base import (
    Again,
    Answer,
    AnswerEdit,
    Ask,
    Delay,
    Filter,
    Passed,
    Question,
    Told,
    Verdict,
    Whole,
    edited,
)
from mesh_proxy.filters.buffer import Buffer
from mesh_proxy.filters.compressor import Compressor
from mesh_proxy.filters.cors import Cors
from mesh_proxy.filters.decompressor import Decompressor
from mesh_proxy.filters.ext_authz import ExtAuthz
from mesh_proxy.filters.fault import Fault
from mesh_proxy.filters.grpc_web import GrpcWeb
from mesh_proxy.filters.jwt_authn import JwtAuthn
from mesh_proxy.filters.rate_limit import RateLimiter
from mesh_proxy.filters.rbac import RbacGate
from mesh_proxy.telemetry.stats import Counters

__all__ = [
    "FILTERS",
    "Again",
    "Answer",
    "AnswerEdit",
    "Ask",
    "Delay",
    "Filter",
    "FilterError",
    "Passed",
    "Question",
    "Told",
    "Verdict",
    "Whole",
    "compile_filters",
    "edited",
]


class FilterError(ValueError):
    """A filter that this proxy cannot run."""


FILTERS: dict[type, Callable[[Any, Counters], Filter]] = {
    BufferFilter: Buffer,
    CompressorFilter: Compressor,
    CorsFilter: Cors,
    DecompressorFilter: Decompressor,
    ExtAuthzFilter: ExtAuthz,
    FaultFilter: Fault,
    GrpcWebFilter: GrpcWeb,
    JwtAuthnFilter: JwtAuthn,
    LocalRateLimitFilter: RateLimiter,
    RbacFilter: RbacGate,
}
"""Configuration class to filter, which is made of one and of the counters of its connection manager."""

PASSED_OVER: Final = (ForwardProxyFilter, GrpcStatsFilter, ServiceMetrics)
"""Filters that change no traffic: who counts, or looks up names, reads them of the chain's configuration."""


def compile_filters(configs: tuple[HttpFilter, ...], stats: Counters) -> tuple[Filter, ...]:
    """The filters before the router. Raises :class:`FilterError`: the router must be there, and be the last."""
    if not configs or not isinstance(configs[-1], RouterFilter):
        raise FilterError("the last HTTP filter must be the router")
    made: list[Filter] = []
    for config in configs[:-1]:
        if isinstance(config, PASSED_OVER):
            continue
        if type(config) not in FILTERS:
            raise FilterError(f"the HTTP filter {type(config).__name__} is not supported before the router")
        made_of = FILTERS[type(config)](config, stats)
        first = made_of.before()
        made += [made_of] if first is None else [first, made_of]
    return tuple(made)

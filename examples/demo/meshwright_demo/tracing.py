"""What a service hands on from a request that it got to those that it makes, so that a trace stays one trace.

The sidecars make the spans; only the application knows which outgoing call belongs to which incoming request.
"""

from __future__ import annotations

from collections.abc import Mapping

TRACE_HEADERS = (
    "x-request-id",
    # W3C Trace Context and Baggage
    "traceparent",
    "tracestate",
    "baggage",
    # B3, in one header and in several
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
)


def trace_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Those of a request's headers that its calls must carry."""
    return {name: headers[name] for name in TRACE_HEADERS if name in headers}

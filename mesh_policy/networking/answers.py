"""What a rule answers itself: redirects, responses, and faults put in on purpose."""

import base64
import binascii
import builtins
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from mesh_policy.base import Model, Number, Signed, Whole
from mesh_policy.durations import PositiveDuration
from mesh_policy.networking.ports import PortOrZero

HttpStatus = Annotated[Whole, Field(ge=200, le=600)]
"""A status that a proxy answers with; Istio's webhook takes 600 as the last, of which nothing is known."""
MAX_BODY = 1024 * 1024
"""Bytes of a direct response (Istio's limit)."""
GRPC = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip
"""Names of the status codes of gRPC, each at its number."""


class Redirect(Model):
    """Answers with a redirect; ``uri`` replaces the whole path, ``prefix_rewrite`` the matched prefix."""

    uri: str | None = None
    """Path that is redirected to."""
    prefix_rewrite: str | None = None
    """What stands in place of the matched prefix; every match of the rule compares a prefix."""
    authority: str | None = None
    """Host that is redirected to; default the request's."""
    port: PortOrZero | None = None
    """Port that is redirected to; excludes ``derive_port``."""
    derive_port: Literal["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"] | None = None
    """Whether the port is the scheme's or the request's."""
    scheme: Literal["", "http", "https"] | None = None
    """``http`` or ``https``; default the request's."""
    redirect_code: Annotated[Whole, Field(ge=0, le=399)] | None = None
    """Status, 300 to 399; default 301."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.uri and self.prefix_rewrite:
            raise ValueError("uri and prefixRewrite exclude each other; keep one")
        if self.port is not None and self.derive_port is not None:
            raise ValueError("port and derivePort exclude each other; keep one")
        if self.redirect_code and self.redirect_code < 300:
            raise ValueError(f"redirectCode {self.redirect_code}: allowed are 300 to 399")
        target = (self.uri, self.prefix_rewrite, self.authority, self.scheme)
        if not any(target) and self.port is None and self.derive_port is None:
            raise ValueError("one of uri, prefixRewrite, authority, scheme, port and derivePort is required")
        return self


class HttpBody(Model):
    """A body as text or as base64."""

    string: str | None = None
    """The body as text."""
    bytes: str | None = None
    """The body in base64 (RFC 4648, 4)."""

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if self.string is not None and self.bytes is not None:
            raise ValueError("string and bytes exclude each other; keep one")
        if len(self.content) > MAX_BODY:
            raise ValueError(f"the body has {len(self.content)} bytes; at most {MAX_BODY} are allowed")
        return self

    @property
    def content(self) -> builtins.bytes:
        """The body itself. Raises :class:`ValueError` for what is not base64."""
        if self.bytes is None:
            return (self.string or "").encode()
        try:
            return base64.b64decode(self.bytes, validate=True)
        except binascii.Error as error:
            raise ValueError(f"bytes: is not base64: {error}") from None


class DirectResponse(Model):
    """Answers with ``status`` and ``body``."""

    status: HttpStatus
    """Status, 200 to 599."""
    body: HttpBody | None = None
    """Body, at most 1 MiB; Istio warns above 100 KiB."""


SMALLEST_SHARE = 0.0001
"""The smallest percentage that Envoy can count."""


class PercentValue(Model):
    """A percentage with decimals, of which four count."""

    value: Annotated[Number, Field(ge=0, le=100)] | None = None
    """0 to 100; unset means 0."""


def _countable(percentage: PercentValue) -> PercentValue:
    if 0 < (percentage.value or 0) < SMALLEST_SHARE:
        raise ValueError(f"{percentage.value} is too small; a percentage is 0 or at least {SMALLEST_SHARE}")
    return percentage


FaultShare = Annotated[PercentValue, AfterValidator(_countable)]
"""Share of the requests that a fault meets."""


class FaultDelay(Model):
    """Delays a share of the requests (no percentage: none of them)."""

    percent: Signed | None = None
    """The old form of ``percentage``, in whole percent; not looked at by Istio's webhook."""
    percentage: FaultShare | None = None
    """Share of the requests."""
    fixed_delay: PositiveDuration | None = None
    """How long they are held back."""
    exponential_delay: PositiveDuration | None = None
    """Not supported by anybody."""

    @model_validator(mode="after")
    def _supported(self) -> Self:
        if self.exponential_delay is not None:
            raise ValueError("exponentialDelay is not supported (by Istio either); use fixedDelay")
        return self


def _grpc_status(value: str) -> str:
    if value not in GRPC:
        raise ValueError(f"grpcStatus {value!r}: allowed are {', '.join(GRPC)}")
    return value


class FaultAbort(Model):
    """Ends a share of the requests with a status (no percentage: none of them)."""

    percentage: FaultShare | None = None
    """Share of the requests."""
    http_status: HttpStatus | None = None
    """Status of HTTP."""
    grpc_status: Annotated[str, AfterValidator(_grpc_status)] | None = None
    """Status of gRPC, by name."""
    http2_error: str | None = None
    """Not supported by anybody."""

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if self.http2_error is not None:
            raise ValueError("http2Error is not supported (by Istio either); use httpStatus or grpcStatus")
        if self.http_status is not None and self.grpc_status is not None:
            raise ValueError("httpStatus and grpcStatus exclude each other; keep one")
        return self

    @property
    def grpc_code(self) -> int | None:
        """The number of ``grpc_status``."""
        return GRPC.index(self.grpc_status) if self.grpc_status is not None else None


class Fault(Model):
    """Faults put in on purpose."""

    delay: FaultDelay | None = None
    """Holds requests back."""
    abort: FaultAbort | None = None
    """Ends requests."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.delay is None and self.abort is None:
            raise ValueError("a fault needs delay or abort")
        return self

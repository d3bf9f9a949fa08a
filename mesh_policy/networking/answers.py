"""What a rule answers itself: redirects, responses, and faults put in on purpose."""

import base64
import binascii
import builtins
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mesh_policy.base import Model, Number, Percent, Port, Whole
from mesh_policy.durations import PositiveDuration

HttpStatus = Annotated[Whole, Field(ge=200, le=599)]
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
    prefix_rewrite: str | None = None
    authority: str | None = None
    port: Port | None = None
    derive_port: Literal["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"] | None = None
    scheme: str | None = None
    redirect_code: Whole | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.uri is not None and self.prefix_rewrite is not None:
            raise ValueError("uri and prefixRewrite exclude each other; keep one")
        if self.port is not None and self.derive_port is not None:
            raise ValueError("port and derivePort exclude each other; keep one")
        if self.redirect_code is not None and self.redirect_code not in (301, 302, 303, 307, 308):
            raise ValueError(f"redirectCode {self.redirect_code}: allowed are 301, 302, 303, 307 and 308")
        return self


class HttpBody(Model):
    """A body as text or as base64."""

    string: str | None = None
    bytes: str | None = None

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
    body: HttpBody | None = None


class PercentValue(Model):
    """A percentage 0..100 with decimals."""

    value: Annotated[Number, Field(ge=0, le=100)] | None = None


class FaultDelay(Model):
    """Delays a share of the requests (no percentage: none of them)."""

    percent: Percent | None = None
    percentage: PercentValue | None = None
    fixed_delay: PositiveDuration | None = None
    exponential_delay: PositiveDuration | None = None

    @model_validator(mode="after")
    def _a_delay(self) -> Self:
        if self.exponential_delay is not None:
            raise ValueError("exponentialDelay is not supported (by Istio either); use fixedDelay")
        if self.fixed_delay is None:
            raise ValueError("fixedDelay is required")
        return self


class FaultAbort(Model):
    """Ends a share of the requests with a status (no percentage: none of them)."""

    percentage: PercentValue | None = None
    http_status: HttpStatus | None = None
    grpc_status: str | None = None
    http2_error: str | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if self.http2_error is not None:
            raise ValueError("http2Error is not supported (by Istio either); use httpStatus or grpcStatus")
        if (self.http_status is None) == (self.grpc_status is None):
            raise ValueError("exactly one of httpStatus and grpcStatus is required")
        if self.grpc_status is not None and self.grpc_code is None:
            raise ValueError(f"grpcStatus {self.grpc_status!r}: allowed are 0 to {len(GRPC) - 1} and {', '.join(GRPC)}")
        return self

    @property
    def grpc_code(self) -> int | None:
        """The number of ``grpc_status``."""
        text = (self.grpc_status or "").upper()
        numbers = {name: number for number, name in enumerate(GRPC)} | {str(n): n for n in range(len(GRPC))}
        return numbers.get(text)


class Fault(Model):
    """Faults put in on purpose."""

    delay: FaultDelay | None = None
    abort: FaultAbort | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.delay is None and self.abort is None:
            raise ValueError("a fault needs delay or abort")
        return self

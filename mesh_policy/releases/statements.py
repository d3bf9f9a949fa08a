"""Statements about a service."""

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyAddress,
    StringConstraints,
    field_validator,
)

from mesh_policy.base import Name, Namespace, Percent, Port, Unsigned, Whole
from mesh_policy.durations import Span
from mesh_policy.hosts import CLUSTER_DOMAIN, Host
from mesh_policy.networking.headers import HeaderName
from mesh_policy.networking.http_route import check_retry_on

ServiceName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
"""A service is one label of its host's name: it holds no dot."""
PathPrefix = Annotated[str, Field(pattern=r"^/")]


def _lower(headers: dict[str, str]) -> dict[str, str]:
    """Names of headers have no case; one that stands twice is a contradiction."""
    found = {name.lower(): value for name, value in headers.items()}
    if len(found) < len(headers):
        raise ValueError(f"of {', '.join(headers)} one stands twice")
    return found


class Statement(BaseModel):
    """Something said about the service ``service`` of ``namespace``."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    service: ServiceName
    """Name of the service, one label."""
    namespace: Namespace = "default"
    """Its namespace."""

    @property
    def host(self) -> str:
        """The full name of the service."""
        return f"{self.service}.{self.namespace}.{CLUSTER_DOMAIN}"


class Route(Statement):
    """Requests below ``path`` go to the version ``version``."""

    path: PathPrefix
    version: Name


class Timeout(Statement):
    """Requests below ``path`` (all, when unset) end in 504 when they take longer than ``after``, retries included."""

    after: Span
    path: PathPrefix | None = None


class Retry(Statement):
    """Requests below ``path`` (all, when unset) are tried up to ``attempts`` times more. ``on`` takes Envoy's names."""

    attempts: Annotated[Whole, Field(ge=0, le=100)]
    on: Annotated[str, AfterValidator(check_retry_on)] = "connect-failure,refused-stream,unavailable,cancelled"
    per_try: Span | None = None
    path: PathPrefix | None = None


class Redirect(Statement):
    """Requests for exactly ``path`` that carry all of ``headers`` are answered with ``code`` to ``to``."""

    path: PathPrefix
    to: PathPrefix
    headers: Annotated[dict[HeaderName, str], AfterValidator(_lower)] = Field(default_factory=dict)
    code: Literal[301, 302, 303, 307, 308] = 301


class CircuitBreaker(Statement):
    """A host that fails ``errors`` times in a row is ejected for ``ejection`` times the number of its ejections.

    ``max_ejection_percent`` is 100 here: with Istio's 10 % nothing is ever ejected while there are fewer than ten hosts.
    """

    errors: Annotated[Unsigned, Field(ge=1)] = 5
    ejection: Span = Field(default="30s", validate_default=True)
    interval: Span = Field(default="10s", validate_default=True)
    max_ejection_percent: Percent = 100


class Exposed(Statement):
    """The service is published as ``hostname`` on ``port`` of the gateway whose workloads carry ``istio: GATEWAY``.

    ``bind`` is the address that the gateway listens on; unset: all of its own.
    """

    hostname: Host
    gateway: Name = "ingressgateway"
    port: Port = 80
    bind: IPvAnyAddress | None = None

    @field_validator("hostname")
    @classmethod
    def _one_name(cls, value: str) -> str:
        """The rules hold in the mesh too, where ``*`` would take the requests for every other service."""
        if value == "*":
            raise ValueError("`*` would take every request; name the host, or a part of it as in *.example.com")
        return value

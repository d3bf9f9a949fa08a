"""Listeners of a Gateway: ports, what is spoken on them, for which hosts, and which routes may attach."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, model_validator

from mesh_policy.base import Model, Port
from mesh_policy.gateway_api.constraints import Entries, Items, Text
from mesh_policy.gateway_api.names import SUBDOMAIN, Group, Hostname, Kind, SectionName
from mesh_policy.gateway_api.object_refs import SecretReference
from mesh_policy.gateway_api.refusals import Refusal, refuse
from mesh_policy.gateway_api.selectors import LabelSelector

Protocol = Annotated[
    str,
    Text(
        "a protocol; write HTTP, HTTPS, TLS, TCP or UDP, or DOMAIN/NAME for an implementation's own",
        rf"^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$|{SUBDOMAIN}\/[A-Za-z0-9]+$",
        most=255,
    ),
]
OptionValue = Annotated[str, Text("a value", most=4096, least=0)]
Options = Annotated[dict[str, OptionValue], Entries(16)]


class ListenerTls(Model):
    """TLS of a listener."""

    mode: Literal["Terminate", "Passthrough"] | None = None
    """``Terminate`` (default) ends TLS here. ``Passthrough`` leaves it to the backend, which the SNI alone chooses."""
    certificate_refs: Annotated[tuple[SecretReference, ...], Items(64)] | None = None
    """Secrets with certificate and key, at most 64, at Istio at most 2. Required where TLS ends, unless ``options`` are
    given; not looked at with ``Passthrough``."""
    options: Options | None = None
    """Settings of an implementation's own, at most 16. Istio knows ``gateway.istio.io/tls-terminate-mode`` (``MUTUAL``,
    ``OPTIONAL_MUTUAL``, ``ISTIO_SIMPLE``, ``ISTIO_MUTUAL``) and ``gateway.istio.io/tls-cipher-suites``."""

    @property
    def terminates(self) -> bool:
        """Whether TLS ends here."""
        return self.mode in (None, "Terminate")

    @model_validator(mode="after")
    def _has_certificates(self) -> Self:
        if self.terminates and not self.certificate_refs and not self.options:
            message = "is required where TLS ends (mode Terminate, the default), unless options say otherwise"
            refuse(self, [(("certificateRefs",), message)])
        return self


class RouteNamespaces(Model):
    """Namespaces whose routes may attach."""

    from_: Literal["All", "Selector", "Same"] | None = None
    """Which namespaces: ``Same`` (default, the Gateway's own), ``All``, or ``Selector`` for those that ``selector``
    picks."""
    selector: LabelSelector | None = None
    """Labels of the namespaces; counts with ``from: Selector`` alone. Never leave it out there: Istio then lets all
    namespaces in."""


class RouteGroupKind(Model):
    """A kind of routes."""

    group: Group | None = None
    """API group of the routes; default ``gateway.networking.k8s.io``."""
    kind: Kind
    """Kind of the routes, such as ``HTTPRoute``; one that does not fit the listener's protocol attaches nothing."""


class AllowedRoutes(Model):
    """Which routes may attach. They must name the Gateway, or ask for default Gateways, besides."""

    namespaces: RouteNamespaces | None = None
    """Namespaces whose routes may attach; default the Gateway's own."""
    kinds: Annotated[tuple[RouteGroupKind, ...], Items(8)] | None = None
    """Kinds of routes that may attach, at most 8; default those of the protocol: HTTPRoute and GRPCRoute for HTTP and
    HTTPS, TLSRoute for TLS (where it ends here, TCPRoute too), TCPRoute for TCP."""


class Listener(Model):
    """A port with what is spoken there, and which routes get its traffic. Of several for a host the narrowest is taken."""

    name: SectionName
    """Name of the listener, which no other of the Gateway has; routes choose a listener by it (``sectionName``)."""
    hostname: Hostname | None = None
    """Host that the listener is for, by the Host header or, with TLS, the SNI; perhaps with ``*.`` before it, default
    all. Not with TCP and UDP, which tell no host."""
    port: Port
    """Port that is opened. Several listeners may share it when protocol or host tells them apart."""
    protocol: Protocol
    """What is spoken: ``HTTP``, ``HTTPS``, ``TLS``, ``TCP``, ``UDP``, or ``DOMAIN/NAME`` for an implementation's own.
    Istio has no ``UDP``; its own is ``HBONE``, for waypoints."""
    tls: ListenerTls | None = None
    """TLS of the listener: required for ``TLS``, excluded with ``HTTP``, ``TCP`` and ``UDP``. Istio does not open an
    ``HTTPS`` listener without it."""
    allowed_routes: AllowedRoutes | None = None
    """Which routes may attach; default those of the Gateway's namespace, of the kinds that fit the protocol."""

    @model_validator(mode="after")
    def _protocol_fits(self) -> Self:
        refuse(self, self._wrong())
        return self

    def _wrong(self) -> Iterator[Refusal]:
        if self.protocol in ("HTTP", "TCP", "UDP") and self.tls is not None:
            yield ("tls",), f"does not go with protocol {self.protocol}; write HTTPS or TLS, or remove it"
        if self.protocol == "HTTPS" and self.tls is not None and not self.tls.terminates:
            yield ("tls", "mode"), "must be Terminate for HTTPS; to pass TLS through, write protocol TLS"
        if self.protocol == "TLS" and self.tls is None:
            yield ("tls",), "is required for protocol TLS"
        if self.protocol in ("TCP", "UDP") and self.hostname is not None:
            yield ("hostname",), f"does not go with protocol {self.protocol}, which tells no host; remove it"


def _distinct(value: Sequence[Listener]) -> Sequence[Listener]:
    seen: dict[tuple[int, str, str | None], Listener] = {}
    refusals: list[Refusal] = []
    for place, listener in enumerate(value):
        first = seen.setdefault((listener.port, listener.protocol, listener.hostname), listener)
        if first is not listener:
            message = (
                f"listener {first.name} has the same port, protocol and hostname; change one of them, or remove it"
            )
            refusals.append(((place,), message))
    refuse(value, refusals)
    return value


Listeners = Annotated[tuple[Listener, ...], Items(64, least=1, key="name"), AfterValidator(_distinct)]
"""1 to 64 listeners, with names of their own, and each with another port, protocol or hostname."""

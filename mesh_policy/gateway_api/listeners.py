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
    """TLS of a listener: ``Terminate`` (default, with the first fitting certificate) or ``Passthrough``.

    ``options`` are an implementation's own.
    """

    mode: Literal["Terminate", "Passthrough"] | None = None
    certificate_refs: Annotated[tuple[SecretReference, ...], Items(64)] | None = None
    options: Options | None = None

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
    """Namespaces whose routes may attach: ``Same`` (default, the Gateway's), ``All``, or those of ``selector``."""

    from_: Literal["All", "Selector", "Same"] | None = None
    selector: LabelSelector | None = None


class RouteGroupKind(Model):
    """A kind of routes; ``group`` is by default ``gateway.networking.k8s.io``."""

    group: Group | None = None
    kind: Kind


class AllowedRoutes(Model):
    """Which routes may attach; ``kinds`` are by default those that fit the protocol."""

    namespaces: RouteNamespaces | None = None
    kinds: Annotated[tuple[RouteGroupKind, ...], Items(8)] | None = None


class Listener(Model):
    """One port and protocol; ``hostname`` (by default all) is compared with the Host header or the SNI."""

    name: SectionName
    hostname: Hostname | None = None
    port: Port
    protocol: Protocol
    tls: ListenerTls | None = None
    allowed_routes: AllowedRoutes | None = None

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

"""Gateway: listeners that an implementation (named by the GatewayClass) opens, and at which addresses.

Not the Gateway of Istio's own group, which is in :mod:`mesh_policy.networking.gateway`.
"""

import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, model_validator

from mesh_policy.base import Model
from mesh_policy.gateway_api.constraints import Entries, Items, Text
from mesh_policy.gateway_api.gateway_tls import GatewayTls
from mesh_policy.gateway_api.kind import GatewayApiPolicy
from mesh_policy.gateway_api.listeners import Listeners
from mesh_policy.gateway_api.names import DOMAIN_PATH, SUBDOMAIN, ObjectName
from mesh_policy.gateway_api.object_refs import LocalObjectReference
from mesh_policy.gateway_api.refusals import Refusal, refuse, twice
from mesh_policy.gateway_api.selectors import LabelSelector

_HOST = re.compile(rf"(\*\.)?{SUBDOMAIN}")
_QUALIFIED = re.compile(rf"({SUBDOMAIN}/)?([A-Za-z0-9][-A-Za-z0-9_.]{{0,61}})?[A-Za-z0-9]")
AddressType = Annotated[
    str,
    Text(
        "a type of addresses; write IPAddress, Hostname, NamedAddress, or DOMAIN/NAME for an implementation's own",
        rf"^Hostname|IPAddress|NamedAddress|{DOMAIN_PATH}$",
    ),
]


def is_address(value: str) -> bool:
    """Whether a text is an IP address, without zone and without zeros before its numbers."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return "%" not in value


def _without_zeros(value: str) -> str:
    """An address whose dotted numbers begin with zeros, without them: kube-apiserver still reads 010 as 10 here."""
    head, colon, numbers = value.rpartition(":")
    return head + colon + ".".join(n.lstrip("0") or n[:1] for n in numbers.split(".")) if "." in numbers else value


class GatewayAddress(Model):
    """An address that is asked for."""

    type: AddressType | None = None
    """What ``value`` is: ``IPAddress`` (default), ``Hostname``, ``NamedAddress``, or ``DOMAIN/NAME`` for an
    implementation's own."""
    value: Annotated[str, Text("an address", least=0)] | None = None
    """The address, in the form of its type, at most 253 characters; without it the implementation chooses one of that
    type."""

    @property
    def kind_of_address(self) -> str:
        """The type with its default."""
        return self.type or "IPAddress"

    @model_validator(mode="after")
    def _of_its_type(self) -> Self:
        value = self.value
        if value is not None and self.kind_of_address == "IPAddress" and not is_address(_without_zeros(value)):
            refuse(self, [(("value",), f"{value!r} is not an IP address; write one, or another type")])
        if value is not None and self.kind_of_address == "Hostname" and not _HOST.fullmatch(value):
            refuse(self, [(("value",), f"{value!r} is not a host name, in lower case")])
        return self


def _once(value: Sequence[GatewayAddress]) -> Sequence[GatewayAddress]:
    known = [(a.kind_of_address, a.value) for a in value if a.kind_of_address in ("IPAddress", "Hostname") and a.value]
    refuse(value, [((), f"{key[1]} stands twice; keep one") for _, key in twice(known) if isinstance(key, tuple)])
    return value


def _qualified(value: dict[str, str]) -> dict[str, str]:
    refuse(value, _wrong_keys(value))
    return value


def _wrong_keys(value: dict[str, str]) -> Iterator[Refusal]:
    for key in value:
        if not _QUALIFIED.fullmatch(key):
            yield (key,), "is no key; write PREFIX/NAME or NAME, the name with at most 63 letters, digits, - _ and dots"
        elif len(key.split("/")[0]) >= 253:
            yield (key,), "has a prefix of more than 252 characters; shorten it"


LabelValue = Annotated[
    str,
    Text(
        "the value of a label; letters, digits, - _ and dots, a letter or digit at both ends",
        "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$",
        most=63,
        least=0,
    ),
]
AnnotationValue = Annotated[str, Text("a value", most=4096, least=0)]


class Infrastructure(Model):
    """What the objects get that an implementation makes for the Gateway."""

    labels: Annotated[dict[str, LabelValue], Entries(8), AfterValidator(_qualified)] | None = None
    """Labels of what is made for the Gateway (Service, Deployment, pods), at most 8. Unset, Istio takes those of the
    Gateway."""
    annotations: Annotated[dict[str, AnnotationValue], Entries(16), AfterValidator(_qualified)] | None = None
    """Annotations of what is made for the Gateway, at most 16. Unset, Istio takes those of the Gateway."""
    parameters_ref: LocalObjectReference | None = None
    """Object in the Gateway's namespace with an implementation's settings. Istio takes a ConfigMap alone; without it,
    or with another kind, it does not accept the Gateway."""


class ListenerNamespaces(Model):
    """Namespaces whose ListenerSets may add listeners."""

    from_: Literal["All", "Selector", "Same", "None"] | None = None
    """Which namespaces: ``None`` (default), ``Same`` (the Gateway's own), ``All``, or ``Selector`` for those that
    ``selector`` picks."""
    selector: LabelSelector | None = None
    """Labels of the namespaces; counts with ``from: Selector`` alone, which without it picks none."""


class AllowedListeners(Model):
    """Which ListenerSets (objects with further listeners) may add theirs."""

    namespaces: ListenerNamespaces | None = None
    """Namespaces whose ListenerSets may add listeners; default none."""


class GatewaySpec(Model):
    """Listeners, to which routes attach, and who makes them real."""

    gateway_class_name: ObjectName
    """Name of the GatewayClass, which says who makes the Gateway real: ``istio`` for Istio's proxies,
    ``istio-waypoint`` for a waypoint. Where there is no such class, nobody does."""
    listeners: Listeners
    """Ports that the Gateway opens: 1 to 64, each with a name of its own, no two with the same port, protocol and
    host."""
    addresses: Annotated[tuple[GatewayAddress, ...], Items(16), AfterValidator(_once)] | None = None
    """Addresses that are asked for, at most 16; unset, the implementation chooses. Istio gives one ``IPAddress`` to the
    Service it makes; for ``Hostname`` it makes none, and uses the Service that is named."""
    infrastructure: Infrastructure | None = None
    """Labels, annotations and settings of what is made for the Gateway."""
    allowed_listeners: AllowedListeners | None = None
    """Which ListenerSets may add listeners; default none."""
    tls: GatewayTls | None = None
    """TLS of the Gateway as a whole: its own certificate towards backends, and how clients' certificates are
    checked."""
    default_scope: Literal["All", "None"] | None = None
    """``All``: routes with ``useDefaultGateways: All`` attach without naming this Gateway. ``None`` (default): they
    have to name it. Istio does not look at it."""


class Gateway(GatewayApiPolicy):
    """See :class:`GatewaySpec`."""

    KIND: ClassVar[str] = "Gateway"
    kind: Literal["Gateway"] = "Gateway"
    spec: GatewaySpec

    @classmethod
    def title(cls) -> str:
        """With the group: Istio has a Gateway too."""
        return f"{cls.KIND}.{cls.GROUP}"

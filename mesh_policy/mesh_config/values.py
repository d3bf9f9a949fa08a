"""Values of the mesh configuration: its parts, numbers, durations and addresses, as istiod reads them.

Istio's own reader of these files is protobuf's (``jsonpb``), which is not that of Kubernetes' objects: a number may stand in
quotes, ``null`` leaves the default, and a message that is set replaces the default one as a whole.
"""

import re
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, model_validator

from mesh_policy.base import Model, camel
from mesh_policy.durations import MILLISECOND, SECOND, Duration, PositiveDuration, format_duration
from mesh_policy.hosts import check_fqdn_or_address, check_host, is_label

_WHOLE = re.compile(r"\s*(-?(?:0|[1-9][0-9]*))\s*")
_NUMBER = re.compile(r"\s*(-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)\s*")
_HOUR = timedelta(hours=1)


class Settings(Model):
    """A part of the mesh configuration. What is not set has Istio's default, which the field's own default says.

    ``null`` counts as unset. At most one field of each of ``CHOICES`` can be set (protobuf's ``oneof``; of several Istio
    keeps the last), and just one of each of ``REQUIRED_CHOICES``.
    """

    CHOICES: ClassVar[tuple[tuple[str, ...], ...]] = ()
    REQUIRED_CHOICES: ClassVar[tuple[tuple[str, ...], ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        return {key: item for key, item in value.items() if item is not None} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        for names in (*self.CHOICES, *self.REQUIRED_CHOICES):
            chosen = [name for name in names if name in self.model_fields_set and getattr(self, name) is not None]
            if len(chosen) > 1:
                raise ValueError(f"{' and '.join(map(camel, chosen))} exclude each other; keep one")
            if not chosen and names in self.REQUIRED_CHOICES:
                raise ValueError(f"one of {', '.join(map(camel, names))} is required")
        return self

    def to_yaml_value(self) -> dict[str, Any]:
        """What was set, as plain values in the form of its YAML; what has the default for want of another is left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)

    def to_effective_value(self) -> dict[str, Any]:
        """The same with every default written out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def _whole(value: object) -> object:
    if value is None:
        raise ValueError("must be a whole number, not nothing")
    if isinstance(value, str):
        found = _WHOLE.fullmatch(value)
        if found is None:
            raise ValueError(f"must be a whole number, not {value!r}")
        return int(found[1])
    if isinstance(value, bool):
        raise ValueError(f"must be a whole number, not {value!r}")
    return value


def _number(value: object) -> object:
    if value is None or isinstance(value, bool):
        raise ValueError(f"must be a number, not {'nothing' if value is None else repr(value)}")
    if isinstance(value, str):
        found = _NUMBER.fullmatch(value)
        if found is None:
            raise ValueError(f"must be a number, not {value!r}")
        return float(found[1])
    return value


Whole = Annotated[int, BeforeValidator(_whole)]
"""A whole number, which may stand in quotes."""
Port = Annotated[Whole, Field(ge=1, le=65535)]
PortOrNone = Annotated[Whole, Field(ge=0, le=65535)]
"""A port; 0 for none."""
Count = Annotated[Whole, Field(ge=0, le=2**31 - 1)]
Positive = Annotated[Whole, Field(ge=1, le=2**31 - 1)]
Unsigned = Annotated[Whole, Field(ge=0, le=2**32 - 1)]
Long = Annotated[Whole, Field(ge=0, le=2**63 - 1)]
Percentage = Annotated[float, BeforeValidator(_number), Field(ge=0, le=100)]
"""A share from 0 to 100, perhaps with decimals."""
Window = Annotated[Whole, Field(ge=65535, le=2**31 - 1)]
"""Bytes of a window of HTTP/2 (RFC 9113, 6.9.2): the protocol's own 65535 at least."""
Structure = dict[str, JsonValue]
"""A map of anything, with maps in it (protobuf's ``Struct``)."""
Text = Annotated[str, Field(min_length=1)]
"""Text that is not empty."""


def _not_negative(value: timedelta) -> timedelta:
    if value < timedelta():
        raise ValueError(f"{format_duration(value)!r} is negative; write 0s or more")
    return value


def _at_most_an_hour(value: timedelta) -> timedelta:
    if value > _HOUR:
        raise ValueError(f"{format_duration(value)!r} is too long; at most 1h is allowed")
    return value


def _whole_seconds(value: timedelta) -> timedelta:
    if value % SECOND:
        raise ValueError(f"{format_duration(value)!r}: whole seconds are allowed here; round it")
    return value


def _whole_milliseconds(value: timedelta) -> timedelta:
    if value % MILLISECOND:
        raise ValueError(f"{format_duration(value)!r}: Istio takes whole milliseconds; round it")
    return value


NotNegative = Annotated[Duration, AfterValidator(_not_negative)]
"""A duration of 0 or more."""
MillisecondsOrOff = Annotated[NotNegative, AfterValidator(_whole_milliseconds)]
"""Whole milliseconds; 0 switches it off."""
UpToAnHour = Annotated[PositiveDuration, AfterValidator(_at_most_an_hour)]
"""Whole milliseconds, from 1 ms to 1 h."""
Seconds = Annotated[PositiveDuration, AfterValidator(_whole_seconds)]
"""Whole seconds, from 1 s on."""


def _split(value: str) -> tuple[str, str]:
    """Host and port, as Go's ``net.SplitHostPort`` has them."""
    host, colon, port = value.rpartition(":")
    if not colon:
        raise ValueError(f"{value!r} has no port; write HOST:PORT")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{value!r}: an IPv6 address stands in brackets, as in [::1]:8080")
    if "[" in host or "]" in host:
        raise ValueError(f"{value!r} is no address; write HOST:PORT or [IPV6]:PORT")
    return host, port


def check_proxy_address(value: str) -> str:
    """``HOST:PORT`` with a DNS name or an IP address (Istio's ``ValidateProxyAddress``). Raises :class:`ValueError`."""
    host, port = _split(value)
    digits = port[1:] if port[:1] in ("+", "-") else port
    if not (digits.isascii() and digits.isdecimal()) or port[:1] == "-" or not 1 <= int(digits) <= 65535:
        raise ValueError(f"{value!r}: {port!r} is no port; ports go from 1 to 65535")
    check_fqdn_or_address(host)
    return value


def _collector(value: str) -> str:
    check_proxy_address(value.replace("$(HOST_IP)", "127.0.0.1", 1))
    return value


def _optional_address(value: str) -> str:
    return check_proxy_address(value) if value else value


def check_trust_domain(value: str) -> str:
    """Labels of DNS names, of which the last may be a number or empty. Raises :class:`ValueError`."""
    labels = value.split(".")
    if labels[-1] == "" and len(labels) > 1:
        labels.pop()
    if not all(map(is_label, labels)):
        raise ValueError(f"{value!r} is no trust domain; write for example cluster.local")
    return value


def _provider_service(value: str) -> str:
    namespace, slash, host = value.partition("/")
    if not slash:
        return check_fqdn_or_address(value)
    own = namespace.removeprefix("~")
    if not namespace or not host or (own not in ("", "*", ".") and not is_label(own)):
        raise ValueError(f"{value!r}: write HOST, or NAMESPACE/HOST")
    if host != "*" and "." not in host:
        raise ValueError(f"{value!r}: write the full name of the host, such as name.namespace.svc.cluster.local")
    if "*" in host and host != "*" and not host.startswith("*."):
        raise ValueError(f"{value!r}: `*` stands alone, or before a dot at the beginning")
    check_host(host)
    return value


def _export_to(value: str) -> str:
    if value not in ("*", ".", "~") and not is_label(value):
        raise ValueError(f"{value!r} is neither a namespace nor `*` (all), `.` (the object's own), `~` (none)")
    return value


ProxyAddress = Annotated[str, AfterValidator(check_proxy_address)]
"""``HOST:PORT``; an IPv6 address in brackets."""
OptionalAddress = Annotated[str, AfterValidator(_optional_address)]
"""``HOST:PORT``, or empty for none."""
Collector = Annotated[str, AfterValidator(_collector)]
"""``HOST:PORT``; ``$(HOST_IP)`` stands for the address of the node."""
TrustDomain = Annotated[str, AfterValidator(check_trust_domain)]
"""Name of a trust domain: labels with dots between them."""
ProviderService = Annotated[str, AfterValidator(_provider_service)]
"""``HOST`` or ``NAMESPACE/HOST`` of a service of the mesh, or an IP address."""
Exported = Annotated[str, AfterValidator(_export_to)]
"""A namespace, ``*`` for all, ``.`` for the object's own, ``~`` for none."""

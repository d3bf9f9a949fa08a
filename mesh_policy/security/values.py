"""Values that rules compare with, each as Istio's webhook wants it."""

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

_MASK = re.compile(r"0|[1-9][0-9]{0,2}")
_PORT = re.compile(r"[0-9]+")
_SEGMENT = re.compile(r"[a-zA-Z0-9\-._~%!$&'()+,;:@=]+")
ONE_SEGMENT, ANY_SEGMENTS = "{*}", "{**}"
"""Operators of a path template: one segment, and any number of them, which must be the last operator."""


def _not_empty(value: str) -> str:
    if not value:
        raise ValueError("an empty value matches nothing; remove it, or write `*` for any")
    return value


def check_address(value: str) -> str:
    """The address or CIDR range, as Go reads them; :class:`ValueError` otherwise. Host bits may be set in a range."""
    text, slash, mask = value.partition("/")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"{value!r} is no IP address or range; write for example 10.1.2.3 or 10.1.0.0/16") from None
    if not slash:
        return value
    if "%" in text:
        raise ValueError(f"{value!r}: a range has no zone; remove what follows `%`")
    if not _MASK.fullmatch(mask) or int(mask) > address.max_prefixlen:
        raise ValueError(f"{value!r}: a range ends in /0 to /{address.max_prefixlen}")
    return value


def check_port(value: str) -> str:
    """The port as text, 0 to 65535; :class:`ValueError` otherwise."""
    if not value.isascii() or not _PORT.fullmatch(value) or int(value) > 65535:
        raise ValueError(f'{value!r} is no port; write a number up to 65535 in quotes, as in "8080"')
    return value


def check_wildcard(value: str) -> str:
    """The text when it is exact, ``abc*``, ``*abc`` or ``*``; :class:`ValueError` otherwise."""
    _not_empty(value)
    if value.count("*") > 1:
        raise ValueError(f"{value!r}: at most one wildcard is allowed, at the start or the end")
    if "*" in value and not value.startswith("*") and not value.endswith("*"):
        raise ValueError(f"{value!r}: a wildcard stands at the start or the end only")
    return value


def check_trust_domain(value: str) -> str:
    """A trust domain, perhaps with a wildcard; :class:`ValueError` otherwise."""
    if "/" in check_wildcard(value):
        raise ValueError(f"{value!r}: a trust domain holds no `/`; for a whole identity use principals")
    return value


def check_service_account(value: str) -> str:
    """``NAME`` (of the policy's namespace) or ``NAMESPACE/NAME``; :class:`ValueError` otherwise."""
    _not_empty(value)
    if "*" in value:
        raise ValueError(f"{value!r}: service accounts take no wildcard; use principals or namespaces")
    if value.count("/") > 1 or not all(value.split("/")):
        raise ValueError(f"{value!r} is no service account; write NAME or NAMESPACE/NAME")
    if len(value.encode()) > 320:
        raise ValueError(f"{value!r}: a service account has at most 320 bytes")
    return value


def is_path_template(value: str) -> bool:
    """Whether a path is a template (``/books/{*}/pages/{**}``) rather than text, perhaps with ``*`` at one end."""
    return ONE_SEGMENT in value or ANY_SEGMENTS in value


def check_path(value: str) -> str:
    """A path or path template; :class:`ValueError` that names the segment that is wrong otherwise."""
    _not_empty(value)
    template, ended = is_path_template(value), False
    for segment in value.strip("/").split("/"):
        if segment in (ONE_SEGMENT, ANY_SEGMENTS):
            if ended:
                raise ValueError(f"{value!r}: `{{**}}` must be the last operator")
            ended = segment == ANY_SEGMENTS
        elif "{" in segment or "}" in segment:
            raise ValueError(f"{value!r}: braces are for the operators `{{*}}` and `{{**}}`, each a whole segment")
        elif template and not _SEGMENT.fullmatch(segment):
            raise ValueError(f"{value!r}: segment {segment!r} of a template must be plain characters of a URL")
    return value


Text = Annotated[str, AfterValidator(_not_empty)]
"""What a value is compared with: exact, ``abc*`` (begins so), ``*abc`` (ends so), or ``*`` (is there). Not empty."""
IpBlock = Annotated[str, AfterValidator(check_address)]
"""An IP address or a range such as ``10.1.0.0/16``."""
PortText = Annotated[str, AfterValidator(check_port)]
"""A port, as text."""
Path = Annotated[str, AfterValidator(check_path)]
"""As :data:`Text`, or a path template with ``{*}`` for one segment and ``{**}`` for any number of them."""
ServiceAccount = Annotated[str, StringConstraints(max_length=320), AfterValidator(check_service_account)]
"""``NAME`` (in the policy's namespace) or ``NAMESPACE/NAME``."""
TrustDomain = Annotated[str, AfterValidator(check_trust_domain)]
"""As :data:`Text`, without ``/``."""

"""Host names, with and without wildcards, and how short ones become full."""

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator

CLUSTER_DOMAIN = "svc.cluster.local"
_LABEL = re.compile(r"^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$")


def check_host(value: str, wildcard: bool = True, address: bool = True) -> str:
    """The host when it is a DNS name, ``*``, ``*.SUFFIX`` or an address; :class:`ValueError` with the reason otherwise."""
    if not value:
        raise ValueError("a host must not be empty")
    if address and _is_address(value):
        return value
    name = value
    if name.startswith("*"):
        if not wildcard:
            raise ValueError(f"host {value!r}: a wildcard is not allowed here")
        if name == "*":
            return value
        if not name.startswith("*."):
            raise ValueError(f"host {value!r}: a wildcard is `*` or stands before a dot, as in *.example.com")
        name = name[2:]
    if len(value) > 255 or not all(_LABEL.match(label) for label in name.split(".")):
        raise ValueError(f"host {value!r} is not a DNS name; labels have letters, digits and dashes, at most 63")
    return value


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def check_fqdn(value: str) -> str:
    """A name without wildcard."""
    return check_host(value, wildcard=False)


Host = Annotated[str, AfterValidator(check_host)]
"""A DNS name, an address, ``*`` or ``*.suffix``."""
PlainHost = Annotated[str, AfterValidator(check_fqdn)]
"""A DNS name or an address without wildcard."""


def _visibility(value: str) -> str:
    if value not in ("*", ".", "~") and not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", value):
        raise ValueError(f"{value!r} is neither a namespace nor `*` (all), `.` (this one) or `~` (none)")
    return value


ExportTo = Annotated[str, AfterValidator(_visibility)]
"""Where an object is seen: a namespace, ``*`` for all, ``.`` for its own, ``~`` for none."""


def gateway_name(name: str, namespace: str) -> str:
    """``NAMESPACE/NAME`` of a gateway as an object of a namespace refers to it; ``mesh`` stays what it is."""
    if name == "mesh":
        return name
    owner, _, own = name.rpartition("/")
    return f"{namespace if owner in ('', '.') else owner}/{own}"


def qualify(host: str, namespace: str) -> str:
    """The full name of a host as Istio reads it: a name without dots is a service of the policy's namespace."""
    if "." in host or host.startswith("*"):
        return host
    return f"{host}.{namespace}.{CLUSTER_DOMAIN}"


def covers(pattern: str, host: str) -> bool:
    """Whether ``pattern`` (perhaps a wildcard) matches the host; a wildcard host is covered by a shorter wildcard."""
    if pattern in ("*", host):
        return True
    return pattern.startswith("*.") and host.endswith(pattern[1:]) and host != pattern[2:]

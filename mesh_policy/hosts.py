"""Host names, with and without wildcards, and how short ones become full.

The rules are those of Istio's webhook (``pkg/config/validation/agent``), which are wider than DNS in places: a first label
may be ``*``, ``*name`` or ``*-name``, and a name may end with a dot.
"""

import ipaddress
import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator

CLUSTER_DOMAIN = "svc.cluster.local"
LONGEST_NAME = 255
"""Bytes of a name."""
_LABEL = re.compile(r"[a-zA-Z0-9](?:[-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?")
_STARRED = re.compile(r"\*-?[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?")
_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?!$)|$)){4}")
"""What :func:`ipaddress.ip_address` takes without a colon; it takes ten times as long, and a mesh has thousands."""
_LARGEST_NUMBER = 2**63 - 1
"""What Go reads as a number; more digits are a name to Istio."""
_SNI_OF_GATEWAYS = "outbound_"
_RULE = "labels have letters, digits and dashes, at most 63, and the last is no number"


def is_label(value: str) -> bool:
    """Whether it is one label of a DNS name (RFC 1123): letters, digits, dashes between them, at most 63."""
    return _LABEL.fullmatch(value) is not None


def is_address(value: str) -> bool:
    """Whether it is an IP address, perhaps with a zone (``fe80::1%eth0``)."""
    if ":" not in value:
        return _IPV4.fullmatch(value) is not None
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def check_address(value: str) -> str:
    """The IP address; :class:`ValueError` for anything else."""
    if not is_address(value):
        raise ValueError(f"{value!r} is no IP address")
    return value


def check_subnet(value: str) -> str:
    """An address, or one with the length of a prefix (``10.0.0.0/8``; bits behind it may be set)."""
    address, slash, bits = value.partition("/")
    if slash:
        longest = 32 if ":" not in address else 128
        if "%" in address or not re.fullmatch("0|[1-9][0-9]{0,2}", bits) or int(bits) > longest:
            raise ValueError(f"{value!r} is no network; write for example 10.0.0.0/8 or 2001:db8::/32")
    if not is_address(address):
        raise ValueError(f"{value!r} is neither an IP address nor a network such as 10.0.0.0/8")
    return value


def _labels_fit(name: str) -> bool:
    labels = name.split(".")
    if re.fullmatch("[0-9]+", labels[-1]) and int(labels[-1]) <= _LARGEST_NUMBER:
        return False
    if labels[-1] == "":
        labels.pop()  # a trailing dot says that the name is complete
    return all(map(is_label, labels))


def _check_length(value: str) -> None:
    if not value:
        raise ValueError("a host must not be empty")
    if len(value.encode()) > LONGEST_NAME:
        raise ValueError(f"host {value!r} is longer than {LONGEST_NAME} bytes")


def check_fqdn(value: str) -> str:
    """A DNS name without wildcard. An IPv4 address is none: its last label is a number."""
    _check_length(value)
    if value.startswith("*"):
        raise ValueError(f"host {value!r}: a wildcard is not allowed here")
    if not _labels_fit(value):
        raise ValueError(f"host {value!r} is not a DNS name; {_RULE}")
    return value


def check_fqdn_or_address(value: str) -> str:
    """A DNS name without wildcard, or an IP address."""
    return value if is_address(value) else check_fqdn(value)


def check_host(value: str) -> str:
    """A DNS name whose first label may be ``*`` or begin with it."""
    _check_length(value)
    first, dot, rest = value.partition(".")
    fits = is_label(first) or first == "*" or (len(first) <= 63 and _STARRED.fullmatch(first) is not None)
    if not fits or (dot and not _labels_fit(rest)):
        raise ValueError(f"host {value!r} is not a DNS name; {_RULE}")
    return value


def check_host_at_gateway(value: str, sni: bool) -> str:
    """As :func:`check_host`; ``sni``: also what gateways between networks ask for, ``outbound_.PORT_._.HOST``."""
    _check_length(value)
    if not (sni and value.startswith(_SNI_OF_GATEWAYS)):
        return check_host(value)
    parts = value.split("_")
    named = len(parts) >= 4 and re.search("[0-9]", parts[1].strip(".")) and re.search("[a-zA-Z]", parts[3].strip("."))
    if not named:
        raise ValueError(f"host {value!r} is not of the form outbound_.PORT_._.HOST")
    return value


def is_partial_wildcard(host: str) -> bool:
    """``*name`` or ``*-name``: read by Istio, and a whole label to nobody else."""
    return "*" in host and host != "*" and not host.startswith("*.")


Host = Annotated[str, AfterValidator(check_host)]
"""A DNS name, ``*`` or ``*.suffix``."""
PlainHost = Annotated[str, AfterValidator(check_fqdn)]
"""A DNS name without wildcard."""
FqdnOrAddress = Annotated[str, AfterValidator(check_fqdn_or_address)]
"""A DNS name without wildcard, or an IP address."""
Subnet = Annotated[str, AfterValidator(check_subnet)]
"""An IP address or a network (``10.0.0.0/8``)."""


def check_unix_path(value: str) -> str:
    """What stands behind ``unix://``: an absolute path to a file, or ``@name``."""
    if not value.startswith(("/", "@")) or (value.startswith("/") and value.endswith("/")):
        raise ValueError(f"{value!r} is no absolute path to a socket")
    return value


ExportTo = str
"""Where an object is seen: a namespace, ``*`` for all, ``.`` for its own, ``~`` for none (services only)."""


def check_export_to(entries: tuple[str, ...] | None, namespace: str, none_allowed: bool = False) -> None:
    """Istio's rules for the list as a whole, which know the object's ``namespace``. Raises :class:`ValueError`."""
    seen: set[str] = set()
    for entry in entries or ():
        meant = namespace if entry == "." else entry
        if meant in seen:
            raise ValueError(f"exportTo: {entry!r} stands twice" + (f" ({namespace} is `.`)" if meant != entry else ""))
        seen.add(meant)
        if meant != "*" and not is_label(meant) and not (meant == "~" and none_allowed):
            none = ", `~` (none)" if none_allowed else ""
            raise ValueError(f"exportTo: {entry!r} is neither a namespace nor `*` (all), `.` (this one){none}")
    for alone in ("*", "~"):
        if alone in seen and len(seen) > 1:
            raise ValueError(f"exportTo: `{alone}` stands alone; remove the others")


def gateway_name(name: str, namespace: str) -> str:
    """``NAMESPACE/NAME`` of a gateway as an object of a namespace refers to it; ``mesh`` stays what it is."""
    if name == "mesh":
        return name
    owner, _, own = name.rpartition("/")
    return f"{namespace if owner in ('', '.') else owner}/{own}"


def qualify(host: str, namespace: str) -> str:
    """The full name of a host as Istio reads it: a name without dots is a service of the policy's namespace."""
    if not host or "." in host or host.startswith("*"):
        return host
    return f"{host}.{namespace}.{CLUSTER_DOMAIN}"


def overlap(one: str, other: str) -> bool:
    """Whether two hosts, perhaps wildcards, stand for a common name; case counts, as in Istio's webhook."""
    if one.startswith("*") and other.startswith("*"):
        return one[1:].endswith(other[1:]) or other[1:].endswith(one[1:])
    if one.startswith("*"):
        return other.endswith(one[1:])
    return one.endswith(other[1:]) if other.startswith("*") else one == other


def covers(pattern: str, host: str) -> bool:
    """Whether ``pattern`` (perhaps a wildcard) matches the host; a wildcard host is covered by a shorter wildcard."""
    if pattern in ("*", host):
        return True
    return pattern.startswith("*.") and host.endswith(pattern[1:]) and host != pattern[2:]


def within(host: str, pattern: str) -> bool:
    """Whether every name of ``host`` is one of ``pattern``, as Istio's gateways see it (``Name.SubsetOf``): ``*`` stands for
    any letters, none as well."""
    if not pattern.startswith("*"):
        return host == pattern
    if host.startswith("*"):
        return len(host) >= len(pattern) and host[1:].endswith(pattern[1:])
    return host.endswith(pattern[1:])


def common(hosts: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    """What two lists of hosts have in common: of two that fit, the narrower one; each once, in the order of ``hosts``."""
    found = (
        host if within(host, other) else other
        for host in hosts
        for other in others
        if within(host, other) or within(other, host)
    )
    return tuple(dict.fromkeys(found))

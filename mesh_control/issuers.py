"""Where the keys of a RequestAuthentication's rule are, and where the way to them may lead. Pure."""

import ipaddress
from dataclasses import dataclass
from typing import Final

from yarl import URL

from mesh_policy.security.request_authentication import JwtRule

TIMEOUT: Final = 5.0
"""Seconds that fetching may take, where the rule does not say."""
LONGEST_TIMEOUT: Final = 60.0
"""Seconds at most, whatever a rule says: a connection that is held open costs the control plane."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where keys are: at ``uri``, or where ``issuer`` says. ``timeout`` in seconds for each request."""

    uri: str = ""
    issuer: str = ""
    timeout: float = TIMEOUT

    @property
    def key(self) -> str:
        """What the keys are known by in the world: another for each kind, name and time, so that nobody's rule changes how
        the keys of another's are fetched."""
        found = self.uri or f"issuer {self.issuer}"
        return found if self.timeout == TIMEOUT else f"within {self.timeout:g} s: {found}"

    @property
    def title(self) -> str:
        """What people are told."""
        return self.uri or self.issuer


def place_of(rule: JwtRule) -> Place | None:
    """Where the keys of a rule are; ``None``: it has them itself, or nobody can say."""
    if rule.jwks or not (rule.jwks_uri or rule.issuer):
        return None
    timeout = TIMEOUT if rule.timeout is None else min(rule.timeout.total_seconds(), LONGEST_TIMEOUT)
    return Place(rule.jwks_uri or "", "" if rule.jwks_uri else rule.issuer or "", timeout)


def is_own(host: str) -> bool:
    """Whether a host is this machine, or what only its own network knows (link-local: of clouds, their metadata)."""
    name = host.strip("[]").rstrip(".").lower().partition("%")[0]
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped if mapped is not None else address
    return address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast


def wrong_turn(first: URL, now: URL, then: URL) -> str:
    """Why the way from ``first``, which a policy names, may not go on from ``now`` to ``then``; empty: it may."""
    if then.scheme not in ("http", "https") or not then.host:
        return "it is no address of HTTP"
    if now.scheme == "https" and then.scheme != "https":
        return "it gives up HTTPS"
    if is_own(then.host) and not is_own(first.host or ""):
        return "it leads to this machine or its own network"
    return ""

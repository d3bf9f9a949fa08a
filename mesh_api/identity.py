"""Identities of workloads: SPIFFE ids, as they stand in certificates and are told in policies.

Strict, as the SPIFFE-ID standard (sections 2.1 to 2.4) has it: an id that is taken here is written in one way only, so that
two ids are the same identity exactly when their texts are equal.
"""

import re
from dataclasses import dataclass

PREFIX = "spiffe://"
MAX_LENGTH = 2048
"""Bytes of an id; longer ones need not be understood by anyone (section 2.3)."""
MAX_TRUST_DOMAIN = 255

_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]+", re.ASCII)
_SEGMENT = re.compile(r"[a-zA-Z0-9._-]+", re.ASCII)


class IdentityError(ValueError):
    """A text that is no identity; the message quotes it and says what is wrong."""


def trust_domain(text: str) -> str:
    """The text, when it can name a trust domain. Raises :class:`IdentityError`."""
    if len(text) > MAX_TRUST_DOMAIN or not _TRUST_DOMAIN.fullmatch(text):
        raise IdentityError(
            f"trust domain {text[:80]!r}: 1 to {MAX_TRUST_DOMAIN} lower case letters, digits, dots, dashes and underscores"
        )
    return text


@dataclass(frozen=True, slots=True, order=True)
class SpiffeId:
    """An id of a trust domain; ``path`` has the segments. Only :meth:`parse` and :meth:`workload` make checked ones."""

    trust_domain: str
    path: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "SpiffeId":
        """Parses ``spiffe://cluster.local/ns/default/sa/store``. Raises :class:`IdentityError`."""
        # Upper case schemes and percent signs are what go-spiffe refuses, too: one spelling for each identity.
        if not text.startswith(PREFIX):
            raise IdentityError(f"{text[:80]!r} is no SPIFFE id: it does not begin with {PREFIX}")
        if len(text) > MAX_LENGTH:
            raise IdentityError(f"{text[:80]!r}...: a SPIFFE id has at most {MAX_LENGTH} characters")
        domain, *path = text.removeprefix(PREFIX).split("/")
        for segment in path:
            if not _SEGMENT.fullmatch(segment) or segment in (".", ".."):
                raise IdentityError(
                    f"{text[:80]!r}: the segment {segment[:80]!r} of the path is not made of letters, digits, dots, dashes "
                    f"and underscores"
                )
        return cls(trust_domain(domain), tuple(path))

    @classmethod
    def workload(cls, domain: str, namespace: str, service_account: str) -> "SpiffeId":
        """The id of whoever runs as that service account (Istio's ``pkg/spiffe``). Raises :class:`IdentityError`."""
        for name, value in (("namespace", namespace), ("service account", service_account)):
            if "/" in value:
                raise IdentityError(f"{name} {value[:80]!r} has a slash")
        return cls.parse(f"{PREFIX}{domain}/ns/{namespace}/sa/{service_account}")

    @property
    def is_workload(self) -> bool:
        """Whether it has Istio's form: a namespace and a service account."""
        return len(self.path) == 4 and self.path[0] == "ns" and self.path[2] == "sa"

    @property
    def namespace(self) -> str:
        """Of a workload; empty for others."""
        return self.path[1] if self.is_workload else ""

    @property
    def service_account(self) -> str:
        """Of a workload; empty for others."""
        return self.path[3] if self.is_workload else ""

    def __str__(self) -> str:
        return PREFIX + "/".join((self.trust_domain, *self.path))

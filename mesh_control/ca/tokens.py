"""Join tokens: what whoever holds one may be, for how long, and for how many keys. Pure.

A token's text is ``mwjt.ID.SECRET``. The id is no secret: it stands in lists and in the audit log. Of the secret only a hash
is kept; having 256 bits, it needs no slow one.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

from mesh_api.identity import IdentityError, SpiffeId, trust_domain

SCHEME = "mwjt"
_TEXT = re.compile(rf"{SCHEME}\.([0-9a-f]{{12}})\.([A-Za-z0-9_-]{{43}})", re.ASCII)
_PATTERN = re.compile(r"[a-zA-Z0-9._*-]+", re.ASCII)
MAX_SECONDS = 366 * 86400.0
MAX_USES = 1_000_000


class TokenError(ValueError):
    """A token that cannot be made as asked; the message names what is wrong."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Identities of a trust domain: namespaces and service accounts, where ``*`` stands for any characters."""

    trust_domain: str
    namespace: str
    service_account: str

    @classmethod
    def parse(cls, domain: str, text: str) -> "Grant":
        """Parses ``NAMESPACE/ACCOUNT`` (parts may have ``*``) or a SPIFFE id of that domain. Raises :class:`TokenError`."""
        try:
            trust_domain(domain)
            if "://" in text:
                return cls.of(_workload(domain, SpiffeId.parse(text)))
            namespace, slash, account = text.partition("/")
            if not slash or not _PATTERN.fullmatch(namespace) or not _PATTERN.fullmatch(account):
                raise TokenError(f"{text!r} is not NAMESPACE/SERVICE-ACCOUNT, where * stands for any characters")
            if "*" not in text:
                return cls.of(SpiffeId.workload(domain, namespace, account))
        except IdentityError as error:
            raise TokenError(str(error)) from None
        return cls(domain, namespace, account)

    @classmethod
    def of(cls, identity: SpiffeId) -> "Grant":
        """Exactly that workload's."""
        return cls(identity.trust_domain, identity.namespace, identity.service_account)

    @property
    def single(self) -> SpiffeId | None:
        """The only identity in it; ``None`` when there may be several."""
        if "*" in self.namespace or "*" in self.service_account:
            return None
        return SpiffeId.workload(self.trust_domain, self.namespace, self.service_account)

    def covers(self, identity: SpiffeId) -> bool:
        """Whether the identity is one of these."""
        return (
            identity.is_workload
            and identity.trust_domain == self.trust_domain
            and _matches(self.namespace, identity.namespace)
            and _matches(self.service_account, identity.service_account)
        )

    def __str__(self) -> str:
        return f"spiffe://{self.trust_domain}/ns/{self.namespace}/sa/{self.service_account}"


@dataclass(frozen=True, slots=True)
class JoinToken:
    """What is kept of a token. Times are seconds since 1970; ``uses`` is the number of keys that may be certified with it.

    Who asks again with a key that was certified has not used it twice: an answer that was lost can be asked for again.
    """

    id: str
    digest: bytes
    grant: Grant
    uses: int
    created: float
    expires: float
    revoked: float | None = None
    note: str = ""

    def problem(self, now: float) -> str:
        """Why it is good for nothing; empty when it is good for something."""
        if self.revoked is not None:
            return f"join token {self.id} was revoked"
        if now >= self.expires:
            return f"join token {self.id} has expired"
        return ""


def create(grant: Grant, now: float, seconds: float, uses: int = 1, note: str = "") -> tuple[str, JoinToken]:
    """A new token: its text, which is shown once, and what is kept. Raises :class:`TokenError`."""
    if not 0 < seconds <= MAX_SECONDS:
        raise TokenError(f"expires: {seconds:g} s; allowed is more than 0, and at most {MAX_SECONDS:g}")
    if not 1 <= uses <= MAX_USES:
        raise TokenError(f"uses: {uses}; allowed are 1 to {MAX_USES}")
    if len(note) > 200 or not note.isprintable():
        raise TokenError("note: at most 200 characters that can be printed")
    name, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    return f"{SCHEME}.{name}.{secret}", JoinToken(name, digest(secret), grant, uses, now, now + seconds, None, note)


def is_token(text: str) -> bool:
    """Whether it means to be a join token, well-formed or not."""
    return text.startswith(f"{SCHEME}.")


def split(text: str) -> tuple[str, str] | None:
    """Id and secret; ``None`` for another text."""
    found = _TEXT.fullmatch(text)
    return (found[1], found[2]) if found else None


def digest(secret: str) -> bytes:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).digest()


def is_secret_of(token: JoinToken | None, secret: str) -> bool:
    """Whether it is the token's, in a time that tells nothing: not even whether there is such a token."""
    same = hmac.compare_digest(digest(secret), b"\0" * 32 if token is None else token.digest)
    return same and token is not None


def _workload(domain: str, identity: SpiffeId) -> SpiffeId:
    if not identity.is_workload or identity.trust_domain != domain:
        raise TokenError(f"{identity} is not of the form spiffe://{domain}/ns/NAMESPACE/sa/SERVICE-ACCOUNT")
    return identity


def _matches(pattern: str, text: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text) is not None

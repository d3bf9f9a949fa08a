"""What a proxy has proven to be when it connected, as far as registration has to know."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from mesh_api.identity import IdentityError, SpiffeId
from mesh_control.ca.authentication import Credentials, JoinTokens
from mesh_control.ca.authority import Authority, DeniedError
from mesh_control.ca.tokens import Grant


class JoinProof(Protocol):
    """Which workloads whoever connected may be."""

    def covers(self, namespace: str, service_account: str) -> bool:
        """Whether it may be a workload of that namespace and account; ``""`` is any account of the namespace."""

    def __str__(self) -> str:
        """For messages."""


@dataclass(frozen=True, slots=True)
class Anyone:
    """Whoever has the token that all proxies share, and whoever reaches loopback where none is asked for: may be anyone."""

    def covers(self, namespace: str, service_account: str) -> bool:
        """See :class:`JoinProof`."""
        return True

    def __str__(self) -> str:
        return "the shared join token"


@dataclass(frozen=True, slots=True)
class Granted:
    """Whoever has a join token of the certificate authority, or a certificate that it issued: the token's id, or the
    certificate's number."""

    grant: Grant
    token: str = ""
    serial: str = ""

    def covers(self, namespace: str, service_account: str) -> bool:
        """See :class:`JoinProof`."""
        account = service_account or self.grant.service_account.replace("*", "x")  # a name that its own pattern takes
        try:
            return self.grant.covers(SpiffeId.workload(self.grant.trust_domain, namespace, account))
        except IdentityError:
            return False

    def __str__(self) -> str:
        return str(self.grant)


Believe = Callable[[str], Awaitable[JoinProof | None]]
"""Bearer token to what it proves; ``None`` for a text that is no join token of an authority, or no good one."""


Withdrawn = Callable[[JoinProof], Awaitable[bool]]
"""Whether what was believed once is not to be believed any more."""


def withdrawing(authority: Authority) -> Withdrawn:
    """Looks whether a join token, or a certificate, was revoked since. One that has expired or is used up was good when it
    was shown, and is so still."""

    async def withdrawn(proof: JoinProof) -> bool:
        if not isinstance(proof, Granted) or not (proof.token or proof.serial):
            return False
        return await asyncio.to_thread(authority.is_withdrawn, proof.token, proof.serial)

    return withdrawn


def believing(authority: Authority, clock: Callable[[], float] = time.time) -> Believe:
    """Believe the join tokens of an authority. To connect with one uses none of its uses up: it is not for a new key; but one
    that is used up is not believed any more, as whoever used it has a certificate."""
    tokens = JoinTokens(authority)

    async def believe(bearer: str) -> JoinProof | None:
        try:
            caller = await tokens.authenticate(Credentials(bearer), clock())
        except DeniedError:
            return None
        if caller is None or await asyncio.to_thread(authority.is_used_up, caller.token):
            return None
        return Granted(caller.grant, caller.token)

    return believe

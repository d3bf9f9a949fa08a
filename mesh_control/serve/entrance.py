"""Who comes in where proxies have to prove who they are: istiod's secure port, which xDS and the authority share."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from mesh_control.ca.authentication import authenticate
from mesh_control.ca.authority import DeniedError
from mesh_control.ca.wiring import Office
from mesh_control.registration.proof import Granted, JoinProof
from mesh_control.serve.peers import Identities


@dataclass(frozen=True, slots=True)
class Entrant:
    """One connection: where it comes from, without the port, and what it has proven. ``proof`` is ``None`` where nothing was
    proven, and ``reason`` says why. ``identities`` has the one SPIFFE id that was proven, if it was one alone."""

    address: str
    identities: Identities = ()
    proof: JoinProof | None = None
    reason: str = ""
    admitted: Callable[[], None] = lambda: None
    """To be called when it is let in, by this proof or by another."""


Entrance = Callable[[Any], Awaitable[Entrant]]
"""From the context of a gRPC call."""


def entrance_of(office: Office, clock: Callable[[], float] = time.time) -> Entrance:
    """The proofs that the authority takes for certificates let a proxy in as well, as istiod has one list of authenticators
    for both (``pilot/pkg/xds/auth.go``). None of a join token's uses is used up;
    one that has none left proves nothing."""

    async def enter(context: Any) -> Entrant:
        shown = office.credentials(context)
        admitted = partial(office.proven, context)
        address = shown.address.rpartition(":")[0]
        try:
            caller = await authenticate(office.authenticators, shown, clock())
        except DeniedError as denied:
            return Entrant(address, reason=str(denied), admitted=admitted)
        if caller.token != "" and await asyncio.to_thread(office.authority.is_used_up, caller.token):
            return Entrant(address, reason=f"{caller.proof} is used up", admitted=admitted)
        single = caller.grant.single
        identities = () if single is None else (str(single),)
        return Entrant(address, identities, Granted(caller.grant, caller.token, caller.serial), admitted=admitted)

    return enter

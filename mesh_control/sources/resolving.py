"""Names of others' hosts: what an answer from outside leads to must not be this machine, whatever its name says."""

import socket

from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver

from mesh_control.issuers import is_own


class Outside(ThreadedResolver):
    """Gives the addresses that are connected to, so a name cannot stand for one now and for another then."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises :class:`OSError` for a name of this machine, or of what only its own network knows."""
        found = await super().resolve(host, port, family)
        if any(is_own(result["host"]) for result in found):
            raise OSError(f"{host} leads to this machine or its own network; it is not followed")
        return found

"""The sockets and the clock around an :class:`Election`."""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from mesh_control.sources.kubernetes import election
from mesh_control.sources.kubernetes.api import Api, ApiError
from mesh_control.sources.kubernetes.election import RETRY_SECONDS, Election, Lease

log = logging.getLogger("mesh_control.sources.kubernetes")
CONFLICT, NOT_FOUND = 409, 404
RELEASES = 3
"""How often a lease is looked at in the end, and given back."""


@dataclass(slots=True)
class Leader:
    """A replica that takes part, with the lease of that namespace and name."""

    namespace: str
    name: str
    election: Election
    retry: float = RETRY_SECONDS
    rng: random.Random = field(default_factory=random.Random)
    clock: Callable[[], float] = time.monotonic
    problem: str = ""

    @property
    def leads(self) -> bool:
        """Whether this replica is the leader."""
        return self.election.leads(self.clock())

    async def run(self, api: Api) -> None:
        """Take part for ever; whoever ends in order leaves the lease to the next."""
        before = False
        try:
            while True:
                await self._turn(api)
                if self.leads != before:
                    before = self.leads
                    log.info("%s %s", self.election.identity, "leads" if before else "does not lead any more")
                await asyncio.sleep(self.retry * self.rng.uniform(1.0, 1.2))
        finally:
            await self._release(api)

    async def _release(self, api: Api) -> None:
        """A write that was under way when the end came may still arrive, and make the lease another one than was read."""
        for _ in range(RELEASES):
            try:
                last = self.election.released(await self._seen(api), election.stamp(time.time()))
                if last is not None:
                    await self._write(api, last)
            except ApiError as error:
                if error.status != CONFLICT:
                    return  # it runs out

    async def _turn(self, api: Api) -> None:
        try:
            lease = await self._seen(api)
            wanted = self.election.on_seen(lease, self.clock(), election.stamp(time.time()))
            if wanted is not None:
                asked = self.clock()
                self.election.on_written(await self._write(api, wanted), asked)
            self.problem = ""
        except ApiError as error:
            if error.status == CONFLICT:
                self.election.on_refused()
                return
            self.problem = (
                f"kubernetes: lease {self.namespace}/{self.name}: {error.message}; without it no status is written"
            )

    async def _seen(self, api: Api) -> Lease:
        try:
            return election.read(await api.request("GET", f"{self._collection}/{self.name}"))
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise
            return Lease()

    async def _write(self, api: Api, lease: Lease) -> Lease:
        value = election.write(lease, self.namespace, self.name)
        if lease.version:
            return election.read(await api.request("PUT", f"{self._collection}/{self.name}", value))
        return election.read(await api.request("POST", self._collection, value))

    @property
    def _collection(self) -> str:
        return f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases"

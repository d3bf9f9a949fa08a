"""Workloads that registered themselves as a source: WorkloadEntries that come and go with their proxies.

Entries are what the proxies and their WorkloadGroups say now: when a group changes, its entries do, and when it is removed,
they go; proxies that are still connected are registered again when it is back.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, ClassVar

from mesh_api.node import Node
from mesh_control.databases import StoreError
from mesh_control.metrics import Metrics
from mesh_control.registration import lifecycle
from mesh_control.registration.claims import Claim, RegistrationError, claim_of, entry_of
from mesh_control.registration.lifecycle import Key, Registered
from mesh_control.registration.proof import JoinProof
from mesh_control.registration.store import Store
from mesh_control.sources.source import Parts
from mesh_control.waking import woken
from mesh_policy import WorkloadGroup

log = logging.getLogger("mesh_control.registrations")

HEALTH_TYPE = "type.googleapis.com/istio.v1.HealthInformation"
"""Type of the requests by which Istio's agents tell how their application is (``pkg/istio-agent/xds_proxy.go``)."""
SEEN = 30.0
"""Seconds after which it is written down again who is there."""


class Registrations:
    """See the module's docstring. ``clock`` is in seconds since 1970. One of several replicas, which is not ``alone``, takes
    no registration: the proxies of the others would not know of it."""

    name: ClassVar[str] = "registrations"
    synced: ClassVar[bool] = True

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float] = time.time,
        metrics: Metrics | None = None,
        *,
        alone: bool = True,
    ) -> None:
        self.metrics = metrics or Metrics()
        self._alone = alone
        self._store = store
        self._clock = clock
        self._groups: dict[Key, WorkloadGroup] | None = None
        self._claims: dict[str, tuple[Claim, JoinProof | None]] = {}
        self._refused: dict[str, str] = {}
        self._unkept = ""
        self._wake = asyncio.Event()
        self._next_seen = clock() + SEEN
        self._table: dict[Key, Registered] = {}
        for key, known in store.all().items():
            self._table[key] = lifecycle.restarted(known, clock())
            self._keep(self._table[key])

    # As a source

    def read(self) -> Parts:
        """The entries of everybody that is registered."""
        known = [self._table[key] for key in sorted(self._table)]
        return Parts(
            policies=tuple(registered.entry for registered in known),
            problems=(*self._refused.values(), *((self._unkept,) if self._unkept else ())),
            unhealthy=frozenset(registered.key for registered in known if not registered.takes_requests),
        )

    async def watch(self, changed: Callable[[], None]) -> None:
        """Forget, when it is time, who did not come back."""
        while True:
            due = lifecycle.deadline(self._table)
            until = self._next_seen if due is None else min(due, self._next_seen)
            await woken(self._wake, until - self._clock())
            if self.turn():
                changed()

    def turn(self) -> bool:
        """Do what is due; whether the parts are others."""
        now = self._clock()
        if now >= self._next_seen:
            self._next_seen = now + SEEN
            self._write(lambda: self._store.seen([key for key, r in self._table.items() if r.streams], now))
        gone = lifecycle.expired(self._table, now)
        self._remove(gone, "did not come back")
        self.metrics.count("auto_registration_deletes_total", len(gone))
        return bool(gone)

    # What proxies do

    def connect(self, stream: str, node: Node, proof: JoinProof | None) -> bool:
        """A proxy says who it is; whether the parts are others. Nothing happens for one that names no WorkloadGroup.

        Raises :class:`~mesh_control.registration.claims.RegistrationError`; the claim is remembered as long as the stream.
        """
        if stream in self._claims:  # Envoy may say it with each of its requests
            return False
        claim = claim_of(node)
        if claim is None:
            return False
        self._claims[stream] = (claim, proof)
        try:
            return self._register(stream, claim, proof)
        except RegistrationError:
            self.metrics.count("auto_registration_errors_total")
            raise

    def _register(self, stream: str, claim: Claim, proof: JoinProof | None) -> bool:
        if not self._alone:
            raise RegistrationError(
                f"AUTO_REGISTER_GROUP: {claim.group}: this is one of several replicas, and a registration would be known to "
                f"it alone; apply a WorkloadEntry of that machine to the cluster, and leave this away"
            )
        entry = entry_of(claim, (self._groups or {}).get(claim.group_key), proof)
        known = self._table.get(claim.key)
        now = self._clock()
        fresh = lifecycle.connect(known, entry, claim.group, claim.proxy, stream, now)
        self._put(fresh)
        if known is None:
            log.info("%s/%s is registered by %s, which proved %s", *claim.key, claim.proxy, proof)
            self.metrics.count("auto_registration_success_total")
        elif not known.streams:
            self.metrics.count("auto_registration_updates_total")
        return known is None or known.entry != entry

    def disconnect(self, stream: str) -> None:
        """A stream has ended: who has no other one has a while to come back."""
        claim, _ = self._claims.pop(stream, (None, None))
        self._refused.pop(stream, None)
        known = self._table.get(claim.key) if claim is not None else None
        if known is None or stream not in known.streams:
            return
        self._put(lifecycle.disconnect(known, stream, self._clock()))
        if not self._table[known.key].streams:
            self.metrics.count("auto_registration_unregister_total")

    def health(self, stream: str, problem: str | None) -> bool:
        """A proxy tells how its application is, ``None`` being well; whether the parts are others."""
        claim, _ = self._claims.get(stream, (None, None))
        known = self._table.get(claim.key) if claim is not None else None
        if known is None or stream not in known.streams:
            return False
        fresh = replace(known, healthy=problem is None, message=problem or "")
        self._put(fresh)
        return fresh.takes_requests != known.takes_requests

    def reconcile(self, groups: Iterable[WorkloadGroup]) -> bool:
        """These are the WorkloadGroups now, all of them; whether the parts are others."""
        former = self._groups
        self._groups = {(group.metadata.namespace, group.metadata.name): group for group in groups}
        if self._groups == former:
            return False
        before = self.read()
        self._remove(
            [key for key, r in self._table.items() if (key[0], r.group) not in self._groups], "its group is gone"
        )
        for stream, (claim, proof) in self._claims.items():
            self._refused.pop(stream, None)
            try:
                self._register(stream, claim, proof)
            except RegistrationError as error:
                self._refused[stream] = f"{claim.proxy}: {error}"
                self._remove([claim.key] if claim.key in self._table else [], "is refused now")
        return self.read() != before

    # What people and programs ask

    def status(self) -> list[dict[str, Any]]:
        """Every registration; times are seconds since 1970."""
        now = self._clock()
        return [
            {
                "namespace": key[0],
                "name": key[1],
                "group": known.group,
                "proxy": known.proxy,
                "address": known.entry.spec.address,
                "connected": bool(known.streams),
                "since": round(known.since, 3),
                "seen": round(now if known.streams else known.seen, 3),
                "ends": None if known.ends is None else round(known.ends, 3),
                "health": "not probed" if not known.probed else "healthy" if known.takes_requests else "unhealthy",
                "message": known.message,
            }
            for key, known in sorted(self._table.items())
        ]

    @property
    def connected(self) -> frozenset[str]:
        """``NAME.NAMESPACE`` of the entries whose proxies are connected."""
        return frozenset(f"{name}.{namespace}" for (namespace, name), known in self._table.items() if known.streams)

    # What is remembered

    def _put(self, known: Registered) -> None:
        self._table[known.key] = known
        self._keep(known)
        self._wake.set()

    def _keep(self, known: Registered) -> None:
        self._write(lambda: self._store.put(known))

    def _remove(self, keys: list[Key], why: str) -> None:
        for key in keys:
            known = self._table.pop(key)
            log.info("%s/%s of %s is removed: %s", *key, known.proxy, why)
        if keys:
            self._write(lambda: self._store.remove(keys))

    def _write(self, write: Callable[[], None]) -> None:
        """What cannot be written down is in force all the same, and is told."""
        try:
            write()
            self._unkept = ""
        except StoreError as error:
            self._unkept = f"registrations are in force, and cannot be kept for a restart: {error}"

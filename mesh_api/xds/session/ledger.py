"""What one client has of one type of resources, kept as its difference from what is wanted.

A client that has everything costs a reference: the mappings of what is wanted are shared between all clients, and a change
costs as much as was changed. This is the delta protocol's bookkeeping; it sends nothing.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

EVERYTHING = "*"
"""Subscribing to this name is subscribing to all (Envoy's xDS protocol, "wildcard subscription")."""

Has = bytes | str | None
"""What a client has under a name: a resource, one that is known by its version alone, or nothing."""

UNKNOWN = ""
"""A version that no resource has: the client may have anything, or nothing."""

Payload = dict[str, bytes | None]
"""Names to resources; ``None`` tells that there is none of that name (any more)."""


def version_of(data: bytes) -> str:
    """The version of one resource, made of its bytes alone: a client may show it to another control plane."""
    return hashlib.blake2b(data, digest_size=8).hexdigest()


@dataclass(slots=True)
class Ledger:
    """See the module's docstring."""

    version_of: Callable[[bytes], str] = version_of
    subscribed: bool = False
    everything: bool = False
    names: set[str] = field(default_factory=set)
    owed: set[str] = field(default_factory=set)
    """Names that were asked for since the last response, and are answered whatever the client has."""
    in_flight: dict[str, Payload] = field(default_factory=dict)
    """By nonce, oldest first, the responses that wait for an answer."""
    rejected: Payload = field(default_factory=dict)
    """What the client refused, while it is still wanted."""
    _wanted: Mapping[str, bytes] = field(default_factory=dict)
    _differs: dict[str, Has] = field(default_factory=dict)
    _cut: set[str] = field(default_factory=set)
    """Nonces of responses of which something is to be told again already."""
    _due: Payload | None = None
    """What :meth:`due` has found; asked often, and looked for again after everything that happens."""

    def follows(self, name: str) -> bool:
        """Whether the client is to be told of this name."""
        return self.everything or name in self.names

    def has(self, name: str) -> Has:
        """What the client has accepted under a name."""
        if name in self._differs:
            return self._differs[name]
        return self._wanted.get(name) if self.follows(name) else None

    def wanted(self, name: str) -> bytes | None:
        """What the client should have under a name that it follows."""
        return self._wanted.get(name)

    def want(self, wanted: Mapping[str, bytes], changed: Iterable[str]) -> None:
        """Makes another mapping the wanted one, of which only the ``changed`` names differ from the former."""
        if wanted is self._wanted:
            return
        self._due = None
        former, self._wanted = self._wanted, wanted
        for name in changed:
            if name not in self._differs and self.follows(name):
                self._differs[name] = former.get(name)
            self._settle(name)
        if any(wanted.get(name) != data for name, data in self.rejected.items()):
            # What was refused together is offered together again.
            self.rejected = {}

    def subscribe(self, names: Iterable[str], initial: Mapping[str, str], *, everything: bool) -> None:
        """Takes new names; ``initial`` are the versions of what the client has kept from an earlier stream."""
        self._due = None
        for name in names:
            if not self.follows(name):
                self._differs[name] = initial.get(name)
                self._settle(name)
            self.names.add(name)
            if name not in initial:
                self.owed.add(name)
        if everything and not self.everything:
            fresh = {*self._wanted, *initial} - self.names
            self.everything = True
            self._differs.update((name, initial.get(name)) for name in fresh)
            for name in fresh & initial.keys():
                self._settle(name)

    def unsubscribe(self, names: Iterable[str], *, everything: bool) -> None:
        """Forgets names. Of one that the wildcard still covers the client has to hear again (Envoy's xDS protocol)."""
        self._due = None
        if everything:
            self.everything = False
            for name in self._differs.keys() - self.names:
                self._forget(name)
        for name in names:
            self.names.discard(name)
            if self.everything:
                self.owed.add(name)
            else:
                self._forget(name)

    @property
    def quiet(self) -> bool:
        """Whether there is nothing to tell, whatever is under way."""
        return not (self._differs or self.owed)

    def due(self) -> Payload:
        """What the client should be told and has not been, except what it has refused."""
        if self._due is not None:
            return self._due
        if self.quiet:
            return {}
        told = self.under_way()
        self._due = {
            name: self._wanted.get(name)
            for name in (*self._differs, *(self.owed - self._differs.keys()))
            if name in self.owed or (told.get(name, UNKNOWN) != self._wanted.get(name) and name not in self.rejected)
        }
        return self._due

    def under_way(self) -> Mapping[str, bytes | None]:
        """What the client was told last under each name that waits for an answer."""
        if len(self.in_flight) < 2:
            return next(iter(self.in_flight.values()), {})
        return {name: data for payload in self.in_flight.values() for name, data in payload.items()}

    def sent(self, nonce: str, payload: Payload) -> None:
        """A response has gone out."""
        self._due = {} if payload == self._due else None
        self.in_flight[nonce] = payload
        self.owed -= payload.keys()

    def accept(self, nonce: str) -> None:
        """The client has taken a response: it has what that said."""
        self._due = None
        self._cut.discard(nonce)
        for name, data in self.in_flight.pop(nonce).items():
            self.rejected.pop(name, None)
            if self._wanted.get(name) == data:
                self._differs.pop(name, None)
            elif self.follows(name):
                self._differs[name] = data

    def refuse(self, nonce: str) -> None:
        """The client has refused a response: what of it is still wanted is not offered again before something in it
        changes."""
        self._due = None
        payload = self.in_flight.pop(nonce)
        told_again = nonce in self._cut
        self._cut.discard(nonce)
        if not told_again and all(self._wanted.get(name) == data for name, data in payload.items()):
            self.rejected.update((name, data) for name, data in payload.items() if self.follows(name))
        for name in payload:
            if self.follows(name) and name not in self._differs:
                self._differs[name] = UNKNOWN
            self._settle(name)

    def lose(self, names: Iterable[str]) -> None:
        """The client has let go of these resources, whatever it was told before: it is to be told again."""
        self._due = None
        for name in names:
            for nonce, payload in self.in_flight.items():
                if name in payload:
                    del payload[name]
                    self._cut.add(nonce)
            if self.follows(name):
                self._differs[name] = None
                self._settle(name)

    @property
    def settled(self) -> bool:
        """Whether the client has all that it asked for, and nothing else."""
        return not (self.in_flight or self.owed or self.rejected or self._differs)

    @property
    def accepted(self) -> dict[str, bytes]:
        """The resources that the client has, as far as they are known."""
        names = {*self._wanted, *self._differs} if self.everything else self.names
        found = map(partial(_named, self), names)
        return {name: data for name, data in found if isinstance(data, bytes)}

    def _settle(self, name: str) -> None:
        """Drops a difference that is none, and none as soon as the client has taken what is under way."""
        if name not in self._differs:
            return
        has, wanted = self._differs[name], self._wanted.get(name)
        if self.under_way().get(name, wanted) != wanted:
            return
        if has == wanted or (isinstance(has, str) and wanted is not None and has == self.version_of(wanted)):
            del self._differs[name]

    def _forget(self, name: str) -> None:
        self._differs.pop(name, None)
        self.rejected.pop(name, None)
        self.owed.discard(name)


def _named(ledger: Ledger, name: str) -> tuple[str, Has]:
    return name, ledger.has(name)

"""The addresses that the control plane gives by itself: to hosts of ServiceEntries whose source gives none. A cluster gives
its own, in their status (:mod:`mesh_control.sources.kubernetes.allotting`)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mesh_control.addresses.plan import Allocated, Cursor, Hosts, Owner, planned
from mesh_control.addresses.store import Store
from mesh_control.databases import StoreError
from mesh_policy import ServiceEntry


@dataclass(slots=True)
class Given:
    """``store`` remembers them; ``None``: nobody does. Raises :class:`StoreError` when it cannot be read."""

    store: Store | None = None
    problem: str = ""
    """Why they are not remembered."""
    _known: dict[Owner, Hosts] = field(default_factory=dict)
    _cursor: Cursor = field(default_factory=Cursor)

    def __post_init__(self) -> None:
        if self.store is not None:
            self._known = self.store.all()

    def foreseen(self, entries: Sequence[ServiceEntry], taken: Iterable[str]) -> Allocated:
        """What :meth:`give` would give. May be called by another thread."""
        return planned(entries, self._known, taken, self._cursor.copy())

    def give(self, entries: Sequence[ServiceEntry], taken: Iterable[str]) -> Allocated:
        """To these ServiceEntries, which are all there are; ``taken`` are addresses that others have. Those of a ServiceEntry
        that is gone are free."""
        found = {owner: hosts for owner, hosts in planned(entries, self._known, taken, self._cursor).items() if hosts}
        if found != self._known or self.problem:
            self._known, self.problem = found, ""
            try:
                if self.store is not None:
                    self.store.put(found)
            except StoreError as error:
                self.problem = f"addresses of hosts: {error}; after a restart they will be others"
        return found

"""A connection that waits at the door until servers have said that it may come in.

They are asked before anything is read of it, and before a host is chosen for it; Envoy asks at the first byte, and lets a
host that speaks first be heard before that.
"""

from collections.abc import Callable

from mesh_proxy.authorization import Access
from mesh_proxy.filters import Told
from mesh_proxy.filters.ext_authz_connections import ConnectionAuthz
from mesh_proxy.worker.asking import Asker
from mesh_proxy.worker.connection import Connection, Owner
from mesh_proxy.worker.context import Context
from mesh_proxy.worker.inquiries import Inquiry


class Judging(Owner):
    """See the module's docstring. ``then`` is told why it may not come in (empty: it may); not, where it is gone before."""

    __slots__ = ("_access", "_asked", "_askings", "_connection", "_context", "_inquiry", "_then")

    def __init__(
        self,
        context: Context,
        connection: Connection,
        askings: tuple[ConnectionAuthz, ...],
        access: Access,
        then: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._context = context
        self._connection = connection
        self._askings = askings
        self._access = access
        self._then = then
        self._asked = 0
        self._inquiry: Inquiry | None = None
        connection.owner = self
        connection.pause()
        context.connections[self] = None

    def ask(self) -> None:
        """The next server, or nobody any more."""
        while self._asked < len(self._askings):
            question = self._askings[self._asked].question(self._access)
            self._asked += 1
            if question is not None:
                self._inquiry = inquiry = Inquiry(self._context, question, _Ear(self))
                inquiry.start(self._context.snapshot.clusters.get(question.cluster))
                return
        self._leave()
        self._connection.resume()
        self._then("")

    def told(self, told: Told | None) -> None:
        """What a server says."""
        self._inquiry = None
        why = self._askings[self._asked - 1].refusal(told)
        if not why:
            self.ask()
        else:
            self._leave()
            self._then(why)

    def on_lost(self, connection: Connection, reason: str) -> None:
        """It does not wait any more."""
        self._leave()

    def drain(self) -> None:
        """It has not come in yet."""
        self.close()

    def close(self) -> None:
        """Close at once."""
        self._leave()
        self._connection.close()

    def _leave(self) -> None:
        inquiry, self._inquiry = self._inquiry, None
        if inquiry is not None:
            inquiry.drop()
        self._context.connections.pop(self, None)


class _Ear(Asker):
    __slots__ = ("_judging",)

    def __init__(self, judging: Judging) -> None:
        super().__init__()
        self._judging = judging

    def on_told(self, told: Told | None) -> None:
        self._judging.told(told)

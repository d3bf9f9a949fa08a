"""Who waits for the answer to a question of the proxy's own."""

from mesh_proxy.filters import Told
from mesh_proxy.worker.loop import Waiter


class Asker(Waiter):
    """It is told once, unless it gives the question up before."""

    __slots__ = ()

    def on_told(self, told: Told | None) -> None:
        """The answer; ``None``: there is none."""
        raise NotImplementedError

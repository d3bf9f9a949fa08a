"""How many connections from outside there may be at once (Envoy ``envoy.resource_limits``, ``connection_limit``). Pure."""

from typing import Final

NO_LIMIT: Final = -1


class ConnectionLimit:
    """A number of places. Whoever takes one gives it back once."""

    __slots__ = ("most", "taken")

    def __init__(self, most: int = NO_LIMIT) -> None:
        self.most = most
        self.taken: int = 0

    def enter(self) -> bool:
        """Takes a place; ``False``: there is none left."""
        if 0 <= self.most <= self.taken:
            return False
        self.taken += 1
        return True

    def leave(self) -> None:
        """Gives it back."""
        self.taken -= 1

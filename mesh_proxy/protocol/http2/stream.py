"""One stream: its state, its windows, and what waits in it to be sent."""

from collections import deque
from typing import Final

from mesh_proxy.protocol.http1 import Field
from mesh_proxy.protocol.http2.frames import NUMBER

OPEN: Final = 0
HALF_CLOSED_LOCAL: Final = 1
HALF_CLOSED_REMOTE: Final = 2
CLOSED: Final = 3
"""States (RFC 9113 5.1). A stream that is idle has no object yet, and none is ever reserved: nothing is pushed."""

AFTER_END_SENT: Final[tuple[int, ...]] = (HALF_CLOSED_LOCAL, HALF_CLOSED_LOCAL, CLOSED, CLOSED)
AFTER_END_RECEIVED: Final[tuple[int, ...]] = (HALF_CLOSED_REMOTE, CLOSED, HALF_CLOSED_REMOTE, CLOSED)
SENDS: Final[tuple[bool, ...]] = (True, False, True, False)
RECEIVES: Final[tuple[bool, ...]] = (True, True, False, False)
"""State to state, or to whether we may send, and whether the peer may."""


class Stream:
    """A request and its answer. ``user`` belongs to the handler, everything else but ``id`` and ``queued`` to the session."""

    __slots__ = (
        "bodiless", "coded", "credit", "ending", "head_received", "head_sent", "id", "left", "opened", "pending", "queued",
        "receive_window", "send_window", "state", "trailers", "tunnel", "unconsumed", "user", "waiting",
    )  # fmt: skip

    def __init__(self, number: int, send_window: int, receive_window: int, now: float) -> None:
        self.id: int = number
        self.coded: bytes = NUMBER.pack(number)
        """The number as frames have it."""
        self.state: int = OPEN
        self.user: object = None
        self.opened: float = now
        self.head_sent: bool = False
        """Whether a final head was sent."""
        self.head_received: bool = False
        self.bodiless: bool = False
        """Whether the answer has no content whatever its head says: it is one to HEAD."""
        self.tunnel: bool = False
        """Whether it carries another protocol's bytes once it is answered: the request is CONNECT."""
        self.left: int = -1
        """Bytes of content that the peer's length still promises; -1: it promises nothing."""
        self.send_window: int = send_window
        self.receive_window: int = receive_window
        self.unconsumed: int = 0
        """Bytes that were handed over and not yet consumed."""
        self.credit: int = 0
        """Bytes that were consumed and of which the peer has not been told."""
        self.queued: int = 0
        """Bytes that wait to be sent."""
        self.pending: deque[bytes] | None = None
        self.ending: bool = False
        """Whether nothing more will be given to be sent."""
        self.trailers: list[Field] | None = None
        self.waiting: bool = False
        """Whether it stands among those that may send."""

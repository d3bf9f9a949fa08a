"""Which requests are traced, and how their ids say so (Envoy ``ConnectionManagerUtility::mutateTracingRequestHeader`` and
``UUIDRequestIDExtension``). Pure."""

from collections.abc import Callable
from typing import Final

from mesh_api.config import Tracing
from mesh_proxy.protocol.http1 import Head, field_of

NOT_TRACED: Final = b"4"
SAMPLED: Final = b"9"
FORCED: Final = b"a"
BY_CLIENT: Final = b"b"
"""What the digit that tells the version of a UUID says of its trace."""
_PLACE: Final = 14
_LENGTH: Final = 36
_PARTS: Final = 10_000
_REQUEST_ID: Final = b"x-request-id"
_CLIENT: Final = b"x-client-trace-id"


class Sampling:
    """The shares of a connection manager, in parts of ten thousand."""

    __slots__ = ("_by_id", "_client", "_overall", "_random")

    def __init__(self, config: Tracing, by_id: bool) -> None:
        """``by_id``: the request's id carries the decision."""
        self._by_id = by_id
        self._client = config.client_sampling * 100
        self._random = round(config.random_sampling * 100)
        self._overall = round(config.overall_sampling * 100)

    def decide(self, head: Head, chance: Callable[[], float]) -> bytes:
        """Why a request is traced: one of the digits. Its id is told so."""
        if not self._by_id:
            return SAMPLED
        identity = head.get(_REQUEST_ID) or b""
        number = _number(identity)
        if number < 0:
            return NOT_TRACED
        reason = identity[_PLACE : _PLACE + 1]
        if reason not in (SAMPLED, FORCED, BY_CLIENT):
            reason = self._first(head, number, chance)
        if reason != NOT_TRACED and number >= self._overall:
            reason = NOT_TRACED
        told = identity[:_PLACE] + reason + identity[_PLACE + 1 :]
        if told != identity:
            head.drop(_REQUEST_ID)
            head.add(field_of(_REQUEST_ID, told))
        return reason

    def _first(self, head: Head, number: int, chance: Callable[[], float]) -> bytes:
        """Nobody has decided yet. Requests from inside could force it, and there are none (Envoy 1.40)."""
        if head.get(_CLIENT) is not None and chance() * _PARTS < self._client:
            return BY_CLIENT
        return SAMPLED if number < self._random else NOT_TRACED


def _number(identity: bytes) -> int:
    """What chance decides by: the same for every proxy that the request comes to. -1: it is no UUID."""
    if len(identity) != _LENGTH:
        return -1
    try:
        return int(identity[:8], 16) % _PARTS
    except ValueError:
        return -1

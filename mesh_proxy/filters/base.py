"""What filters are told and may say."""

from collections.abc import Callable
from typing import Final, NamedTuple

from mesh_proxy.authorization import Access
from mesh_proxy.errors import LocalReply
from mesh_proxy.filters.bodies import BodyChange
from mesh_proxy.protocol.http1 import Field, Head
from mesh_proxy.routing.table import CompiledRoute


class Answer(NamedTuple):
    """The filter answers by itself, with further fields."""

    reply: LocalReply
    fields: tuple[tuple[bytes, bytes], ...] = ()


class Delay(NamedTuple):
    """The request waits ``seconds`` and goes on; ``then`` answers it afterwards. ``flag`` is for the access log."""

    seconds: float
    flag: str
    then: Answer | None = None


class Again:
    """The request's route is to be chosen again, by what the filter has found out, and the request goes on."""

    __slots__ = ()


AGAIN: Final = Again()


class Whole(NamedTuple):
    """The request goes on when all of it has come: up to ``most`` bytes of a body, beyond which ``then`` answers it."""

    most: int
    then: Answer


Verdict = Answer | Delay | Again | Whole | None
"""``None``: go on."""


class Filter:
    """One HTTP filter; it keeps nothing between requests."""

    changes: bool = False
    """Whether it may change bodies."""

    def concerns(self, route: CompiledRoute | None) -> bool:
        """Whether it has anything to do with requests of that route (``None``: that no route takes); it is not asked
        otherwise."""
        raise NotImplementedError

    def on_request(
        self, head: Head, route: CompiledRoute | None, random: Callable[[], float], access: Access
    ) -> Verdict:
        """Look at a request, and at who asks."""
        raise NotImplementedError

    def on_response(self, head: Head, route: CompiledRoute, fields: list[Field]) -> list[Field]:
        """Look at the fields of the answer to the request with that head."""
        raise NotImplementedError

    def change_request(self, head: Head, route: CompiledRoute | None, complete: bool) -> BodyChange | None:
        """What it does to the body of a request that it let pass (``complete``: there is none), whose head it may change."""
        return None

    def change_response(
        self, head: Head, route: CompiledRoute | None, answer: Head, fields: list[Field], end: bool
    ) -> BodyChange | None:
        """What it does to the body of the answer to the request with that head (``end``: there is none). ``fields`` are those
        that go on, and may be changed as they stand; ``answer`` says status and length."""
        return None

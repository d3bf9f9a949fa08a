"""What filters are told and may say."""

from collections.abc import Callable
from typing import NamedTuple

from mesh_proxy.authorization import Access
from mesh_proxy.errors import LocalReply
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


Verdict = Answer | Delay | None
"""``None``: go on."""


class Filter:
    """One HTTP filter; it keeps nothing between requests."""

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

"""What filters are told and may say."""

from collections.abc import Callable
from typing import Final, NamedTuple

from mesh_proxy.authorization import Access
from mesh_proxy.errors import LocalReply
from mesh_proxy.filters.bodies import BodyChange
from mesh_proxy.protocol.http1 import Field, Head
from mesh_proxy.routing.table import CompiledRoute


class Answer(NamedTuple):
    """The filter answers by itself, with further fields. ``charged``: it counts as an answer of the cluster that the request
    would have gone to."""

    reply: LocalReply
    fields: tuple[tuple[bytes, bytes], ...] = ()
    charged: bool = False


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
    """The request goes on when all of it has come: up to ``most`` bytes of a body, beyond which ``then`` answers it, or it
    goes on with what there is (``None``). ``tells_length``: the host is told how long it is, whatever the client has said."""

    most: int
    then: Answer | None
    tells_length: bool = True


class Question(NamedTuple):
    """A request of the proxy's own to ``cluster``, which has ``timeout`` seconds for its answer (0: as long as it takes).
    ``signed``: it tells whose it is."""

    cluster: str
    method: bytes
    target: bytes
    authority: bytes
    fields: list[Field]
    body: bytes
    timeout: float
    signed: bool = False


class Told(NamedTuple):
    """The answer to a question, which took so long. ``whole``: it came in full and kept the rules; else there is what is
    known of it, of its status at least."""

    status: int
    fields: list[Field]
    body: bytes
    trailers: list[Field]
    milliseconds: int = 0
    whole: bool = True


class Ask(NamedTuple):
    """The request waits for the answer to a question, which the filter is told (:meth:`Filter.on_told`)."""

    question: Question


class AnswerEdit(NamedTuple):
    """A field for the answer, and how it gets there: one of Envoy's ``HeaderAppendAction``."""

    field: Field
    action: int = 0


APPEND: Final = 0
ADD_IF_ABSENT: Final = 1
OVERWRITE_OR_ADD: Final = 2
OVERWRITE_IF_EXISTS: Final = 3


def edited(fields: list[Field], edits: list[AnswerEdit]) -> list[Field]:
    """The fields of an answer after edits."""
    for field, action in edits:
        name = field.name
        if action != APPEND:
            there = any(known.name == name for known in fields)
            if there and action == ADD_IF_ABSENT:
                continue
            if not there and action == OVERWRITE_IF_EXISTS:
                continue
            if there:
                fields = [known for known in fields if known.name != name]
        fields.append(field)
    return fields


class Passed(NamedTuple):
    """The request goes on, and whatever the answer to it will be is edited."""

    edits: list[AnswerEdit]


Verdict = Answer | Delay | Again | Whole | Ask | Passed | None
"""``None``: go on."""


class Filter:
    """One HTTP filter; it keeps nothing between requests."""

    changes: bool = False
    """Whether it may change bodies."""
    asks: bool = False
    """Whether it tells others of the request, and so wants to know all of it."""

    def concerns(self, route: CompiledRoute | None) -> bool:
        """Whether it has anything to do with requests of that route (``None``: that no route takes), as always by default; it
        is not asked otherwise."""
        return True

    def before(self) -> "Filter | None":
        """Another filter that is to be asked before it; ``None``: there is none."""
        return None

    def on_request(
        self, head: Head, route: CompiledRoute | None, random: Callable[[], float], access: Access
    ) -> Verdict:
        """Look at a request, and at who asks."""
        raise NotImplementedError

    def on_told(self, told: Told | None, head: Head, route: CompiledRoute | None, access: Access) -> Verdict:
        """The answer to the filter's question about the request with that head, which it may change; ``None``: there is
        none. It does not ask again."""
        raise NotImplementedError

    def on_response(self, head: Head, route: CompiledRoute, fields: list[Field]) -> list[Field]:
        """Look at the fields of the answer to the request with that head, which go on as they are by default."""
        return fields

    def change_request(self, head: Head, route: CompiledRoute | None, complete: bool) -> BodyChange | None:
        """What it does to the body of a request that it let pass (``complete``: there is none), whose head it may change."""
        return None

    def change_response(
        self, head: Head, route: CompiledRoute | None, answer: Head, fields: list[Field], end: bool
    ) -> BodyChange | None:
        """What it does to the body of the answer to the request with that head (``end``: there is none). ``fields`` are those
        that go on, and may be changed as they stand; ``answer`` says status and length."""
        return None

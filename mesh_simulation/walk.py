"""One request through one proxy: admission, route, filters, own answers, in the worker's order and by its code."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from mesh_proxy.authorization import Access
from mesh_proxy.filters import Again, Answer, Delay
from mesh_proxy.protocol.http1 import Field, Head, Parser
from mesh_proxy.routing.metadata import NOTHING
from mesh_proxy.routing.table import CompiledRoute
from mesh_proxy.snapshot import HttpChain
from mesh_proxy.telemetry.record import Record
from mesh_proxy.worker import composition, heads
from mesh_proxy.worker.admission import admit
from mesh_proxy.worker.context import RequestIds
from mesh_proxy.worker.deciding import find_route, own_answer
from mesh_simulation.decision import Message


class _OneId(RequestIds):
    """Ids are random and decide nothing: here every request has the same."""

    def next(self) -> bytes:
        return b"00000000-0000-4000-8000-000000000000"


_IDS = _OneId()
EPHEMERAL = 40000
"""The port from which every client connects."""


class Who(NamedTuple):
    """Who asks, as a proxy knows it of the connection: ``peer`` is ``ADDRESS:PORT`` of its other end, ``principals`` the
    names in its certificate (``None``: no TLS), ``metadata`` what verified tokens say."""

    peer: bytes
    destination: tuple[str, int]
    principals: tuple[bytes, ...] | None = None
    server_name: bytes = b""
    metadata: Mapping[str, object] = NOTHING

    def access(self, head: Head | None, remote: bytes | None = None) -> Access:
        """What authorization looks at."""
        return Access(
            head, self.peer, self.destination, remote=remote, server_name=self.server_name, principals=self.principals,
            metadata=self.metadata,
        )  # fmt: skip


class Walk(NamedTuple):
    """How far the request came: the proxy's own ``answer``, or the ``route`` on which it is to be sent on. ``access`` is
    what was authorized (``None``: it did not come so far)."""

    head: Head
    record: Record
    route: CompiledRoute | None
    answer: Answer | None
    delayed: float = 0.0
    access: Access | None = None


def walk(chain: HttpChain, head: Head, who: Who, random: Callable[[], float]) -> Walk:
    """Take an HTTP request through a chain."""
    record = Record(0.0, 0.0)
    record.request, record.path, record.downstream_remote = head, head.target, who.peer
    refused = admit(head, chain, who.peer, _IDS, record)
    if refused is not None:
        return Walk(head, record, None, Answer(refused))
    access = who.access(head, record.downstream_remote)
    found = find_route(head, chain.table, random, access.metadata)
    route = None if isinstance(found, Answer) else found
    delayed = 0.0
    left = chain.filters_for(route)
    while left:
        item, left = left[0], left[1:]
        verdict = item.on_request(head, route, random, access)
        if isinstance(verdict, Again):
            found = find_route(head, chain.table, random, access.metadata)
            route = None if isinstance(found, Answer) else found
            left = chain.filters_behind(item, route)
        if isinstance(verdict, Delay):
            delayed += verdict.seconds
            record.flag(verdict.flag)
            verdict = verdict.then
        if isinstance(verdict, Answer):
            return Walk(head, _named(record, route), route, verdict, delayed, access)
    _named(record, route)
    answer = found if isinstance(found, Answer) else own_answer(found, head)
    return Walk(head, record, route, answer, delayed, access)


def _named(record: Record, route: CompiledRoute | None) -> Record:
    record.route = b"" if route is None else route.name
    return record


def answer_fields(chain: HttpChain, made: Walk, parser: Parser) -> tuple[tuple[str, str], ...]:
    """What is added to an answer of the route's first destination on its way to the client."""
    route = made.route
    if route is None or not route.destinations:
        return ()
    destination = route.destinations[0]
    concerned = chain.filters_for(route)
    if not destination.response_edits and not concerned:
        return ()
    fields: list[Field] = composition.answer(parser.response(b"HTTP/1.1 200 OK"), destination, made.record, None, False)
    for item in reversed(concerned):
        fields = item.on_response(made.head, route, fields)
    return tuple((field.name.decode("latin-1"), field.value.decode("latin-1")) for field in fields)


def sent_bytes(message_head: Head, target: bytes, host: bytes, fields: list[Field]) -> bytes:
    """The head as it goes out, without its empty line."""
    return heads.request(message_head.method, target, host, fields)[:-4]


def message(method: bytes, target: bytes, host: bytes, fields: list[Field]) -> Message:
    """The same, for people."""
    return Message(
        method.decode("latin-1"),
        host.decode("latin-1"),
        target.decode("latin-1"),
        tuple(
            (field.name.decode("latin-1"), field.value.decode("latin-1")) for field in fields if field.name != b"host"
        ),
    )

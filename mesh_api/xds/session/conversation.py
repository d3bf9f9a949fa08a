"""What a proxy needs of its end of the conversation, whichever protocol it is held in."""

from collections.abc import Iterable, Mapping
from typing import Protocol, TypeVar

from mesh_api.node import Node
from mesh_api.xds.session.client import Known, Update
from mesh_api.xds.session.delta_client import DeltaClient
from mesh_api.xds.session.messages import DeltaRequest, DeltaResponse
from mesh_api.xds.type_urls import ADS_ORDER, SECRET

Asked = TypeVar("Asked")
Answered = TypeVar("Answered", contravariant=True)


class Conversation(Protocol[Asked, Answered]):
    """:class:`~mesh_api.xds.session.client.AdsClient` says what each of these does."""

    def start(self, known: Mapping[str, Known] | None = None) -> "list[Asked]":
        """The first requests of a new stream."""

    def on_response(self, response: Answered) -> Update | None:
        """What a response would change."""

    def accept(self, type_url: str, nonce: str) -> "list[Asked]":
        """Accepts the update with that nonce; nothing when a newer one has taken its place."""

    def refuse(self, type_url: str, message: str, nonce: str) -> "list[Asked]":
        """Refuses it."""

    def subscribe(self, type_url: str, names: Iterable[str]) -> Asked | None:
        """Sets the names that are wanted."""

    def names(self, type_url: str) -> tuple[str, ...]:
        """The names that are wanted."""

    def accepted(self, type_url: str) -> Known:
        """What was accepted."""

    def pending(self, type_url: str) -> Update | None:
        """What waits for an answer."""

    def candidate(self, type_url: str) -> Mapping[str, bytes]:
        """What is pending, else what was accepted."""


class DeltaConversation:
    """The delta protocol as a :class:`Conversation`.

    What changes is told against what was told before, answered or not: the update that waits is all responses since the last
    answer, together, and its answer is one to each of them.
    """

    def __init__(self, node: Node) -> None:
        self._client = DeltaClient(node)
        self._waiting: dict[str, list[DeltaResponse]] = {type_url: [] for type_url in (*ADS_ORDER, SECRET)}
        self._versions = dict.fromkeys(self._waiting, "")

    def start(self, known: Mapping[str, Known] | None = None) -> list[DeltaRequest]:
        """Of what an earlier run left no versions of single resources are known: the server sends it all once more."""
        for type_url, last in (known or {}).items():
            self._client.restore(type_url, last.resources)
            self._versions[type_url] = last.version
        for waiting in self._waiting.values():
            waiting.clear()
        return self._client.start()

    def on_response(self, response: DeltaResponse) -> Update | None:
        """See :class:`Conversation`."""
        if response.type_url not in self._waiting:
            return None
        self._waiting[response.type_url].append(response)
        return self.pending(response.type_url)

    def pending(self, type_url: str) -> Update | None:
        """See :class:`Conversation`; ``resources`` of the update is the complete set, as it would be."""
        if not self._waiting[type_url]:
            return None
        last, accepted, candidate = (
            self._waiting[type_url][-1],
            self._client.accepted(type_url),
            self.candidate(type_url),
        )
        return Update(
            type_url,
            last.version_info,
            last.nonce,
            candidate,
            changed=frozenset(name for name, data in candidate.items() if accepted.get(name) != data),
            removed=frozenset(accepted.keys() - candidate.keys()),
        )

    def candidate(self, type_url: str) -> Mapping[str, bytes]:
        """See :class:`Conversation`."""
        return self._client.with_responses(type_url, self._waiting[type_url])

    def accept(self, type_url: str, nonce: str) -> list[DeltaRequest]:
        """See :class:`Conversation`: takes the response with that nonce, and those before it."""
        found = self._until(type_url, nonce)
        if found:
            self._versions[type_url] = found[-1].version_info
        return [self._client.ack(response) for response in found]

    def refuse(self, type_url: str, message: str, nonce: str) -> list[DeltaRequest]:
        """See :class:`Conversation`: refuses that response and those before it, for nobody knows which one is at fault."""
        return [self._client.nack(response, message) for response in self._until(type_url, nonce)]

    def _until(self, type_url: str, nonce: str) -> list[DeltaResponse]:
        """No longer waiting: those up to the one with that nonce."""
        waiting = self._waiting[type_url]
        count = next((place for place, response in enumerate(waiting, 1) if response.nonce == nonce), 0)
        found, self._waiting[type_url] = waiting[:count], waiting[count:]
        return found

    def subscribe(self, type_url: str, names: Iterable[str]) -> DeltaRequest | None:
        """See :class:`Conversation`."""
        return self._client.subscribe(type_url, names)

    def names(self, type_url: str) -> tuple[str, ...]:
        """See :class:`Conversation`."""
        return tuple(sorted(self._client.names(type_url)))

    def accepted(self, type_url: str) -> Known:
        """See :class:`Conversation`."""
        return Known(self._versions[type_url], dict(self._client.accepted(type_url)))

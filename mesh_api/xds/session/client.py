"""The proxy's end of the conversation."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace

from mesh_api.node import Node
from mesh_api.xds.session.messages import Request, Response
from mesh_api.xds.type_urls import ADS_ORDER, SECRET, WILDCARD


@dataclass(frozen=True, slots=True)
class Known:
    """What the proxy already has of one type: the accepted version and its resources by name."""

    version: str
    resources: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Update:
    """A response, seen against what the proxy has: ``resources`` is the complete set as it would be when accepted.

    ``resubscribe``, when set, is to be sent at once: the response crossed a change of the names on the wire, and a server
    that ignores stale requests (istiod does) has not seen them.
    """

    type_url: str
    version_info: str
    nonce: str
    resources: Mapping[str, bytes]
    changed: frozenset[str]
    removed: frozenset[str]
    resubscribe: Request | None = None


@dataclass(slots=True)
class _Subscription:
    """One type on one stream."""

    names: tuple[str, ...] = ()
    version: str = ""
    nonce: str = ""
    accepted: dict[str, bytes] = field(default_factory=dict)
    pending: Update | None = None
    names_nonce: str | None = None
    """The nonce under which changed names were sent, until a response has brought them all."""

    def forget(self, names: Set[str]) -> None:
        """Drops what is left of ``names`` from an earlier subscription: nobody kept it up to date since."""
        self.accepted = {name: data for name, data in self.accepted.items() if name not in names}
        if self.pending is not None:
            kept = {name: data for name, data in self.pending.resources.items() if name not in names}
            self.pending = replace(self.pending, resources=kept)


class AdsClient:
    """Subscribes to the four types, and to secrets, and keeps account of versions, nonces and accepted resources.

    Clusters and listeners are taken whole (wildcard). The names of endpoints, routes and secrets follow from them, so the
    caller derives and sets them with :meth:`subscribe`. Every :class:`Update` ends in :meth:`ack` or :meth:`nack`; an
    update that comes before that supersedes the earlier one and includes it.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._types = {type_url: _Subscription() for type_url in (*ADS_ORDER, SECRET)}

    def start(self, known: Mapping[str, Known] | None = None) -> list[Request]:
        """The first requests of a new stream, also after a loss: with the accepted versions, without nonces.

        ``known`` is what an earlier run of the proxy left; of endpoints and routes its names are asked for again.
        """
        for type_url, last in (known or {}).items():
            names = () if type_url in WILDCARD else tuple(sorted(last.resources))
            self._types[type_url] = _Subscription(names=names, version=last.version, accepted=dict(last.resources))
        requests: list[Request] = []
        for type_url, subscription in self._types.items():
            subscription.nonce, subscription.pending, subscription.names_nonce = "", None, None
            # The first request with no names means "everything": only right for the wildcard types.
            if type_url in WILDCARD or subscription.names:
                requests.append(self._request(type_url, node=None if requests else self._node))
        return requests

    def on_response(self, response: Response) -> Update | None:
        """What ``response`` would change; ``None`` for a type that was never asked for (nothing is to be sent then)."""
        subscription = self._types.get(response.type_url)
        if subscription is None:
            return None
        whole = response.type_url in WILDCARD
        base = subscription.accepted if subscription.pending is None else subscription.pending.resources
        offered = dict(response.resources)
        candidate = offered if whole else {**base, **{n: offered[n] for n in subscription.names if n in offered}}
        accepted = subscription.accepted
        subscription.nonce = response.nonce
        if candidate.keys() >= set(subscription.names):
            subscription.names_nonce = None
        crossed = subscription.names_nonce not in (None, response.nonce)
        subscription.pending = Update(
            response.type_url,
            response.version_info,
            response.nonce,
            candidate,
            changed=frozenset(name for name, data in candidate.items() if accepted.get(name) != data),
            removed=frozenset(accepted.keys() - candidate.keys()),
            resubscribe=self._request(response.type_url) if crossed else None,
        )
        return subscription.pending

    def ack(self, type_url: str, nonce: str | None = None) -> Request | None:
        """Accepts the pending update of ``type_url``; ``None`` when there is none, or not the one with ``nonce``."""
        subscription = self._types[type_url]
        update = subscription.pending
        if update is None or (nonce is not None and nonce != update.nonce):
            return None
        subscription.pending = None
        subscription.version = update.version_info
        wanted = update.resources.keys() if type_url in WILDCARD else set(subscription.names)
        subscription.accepted = {name: data for name, data in update.resources.items() if name in wanted}
        return self._request(type_url)

    def nack(self, type_url: str, message: str, nonce: str | None = None) -> Request | None:
        """Refuses the pending update of ``type_url`` with a reason; the accepted resources stay."""
        subscription = self._types[type_url]
        update = subscription.pending
        if update is None or (nonce is not None and nonce != update.nonce):
            return None
        subscription.pending = None
        return self._request(type_url, error=message)

    def accept(self, type_url: str, nonce: str) -> list[Request]:
        """As :meth:`ack`."""
        request = self.ack(type_url, nonce)
        return [] if request is None else [request]

    def refuse(self, type_url: str, message: str, nonce: str) -> list[Request]:
        """As :meth:`nack`."""
        request = self.nack(type_url, message, nonce)
        return [] if request is None else [request]

    def subscribe(self, type_url: str, names: Iterable[str]) -> Request | None:
        """Sets the names that are wanted of endpoints, routes or secrets; ``None`` when nothing is to be sent.

        With an update pending, the request carries its nonce and the version accepted before: the server takes the names
        and goes on waiting for the answer.
        """
        subscription = self._types[type_url]
        wanted = tuple(sorted(set(names)))
        if wanted == subscription.names:
            return None
        never_asked = not subscription.names and not subscription.nonce
        subscription.forget(set(wanted) - set(subscription.names))
        subscription.names = wanted
        subscription.names_nonce = subscription.nonce
        return None if never_asked and not wanted else self._request(type_url)

    def names(self, type_url: str) -> tuple[str, ...]:
        """The names that are asked for (empty for the wildcard types)."""
        return self._types[type_url].names

    def accepted(self, type_url: str) -> Known:
        """The accepted version and resources of ``type_url``: what to keep for the next start."""
        subscription = self._types[type_url]
        return Known(subscription.version, dict(subscription.accepted))

    def pending(self, type_url: str) -> Update | None:
        """The update of ``type_url`` that waits for :meth:`ack` or :meth:`nack`."""
        return self._types[type_url].pending

    def candidate(self, type_url: str) -> Mapping[str, bytes]:
        """The pending resources where there are some, else the accepted ones: what a new snapshot is made of."""
        subscription = self._types[type_url]
        return subscription.accepted if subscription.pending is None else subscription.pending.resources

    def _request(self, type_url: str, *, error: str | None = None, node: Node | None = None) -> Request:
        subscription = self._types[type_url]
        return Request(type_url, subscription.version, subscription.nonce, subscription.names, error, node)

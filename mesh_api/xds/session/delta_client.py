"""A client's end of the delta protocol: takes each response by itself, as Envoy does."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mesh_api.node import Node
from mesh_api.xds.session.messages import DeltaRequest, DeltaResponse
from mesh_api.xds.type_urls import ADS_ORDER, SECRET, WILDCARD


@dataclass(slots=True)
class _Subscription:
    names: set[str] = field(default_factory=set)
    begun: bool = False
    """Whether anything of this type was asked for on this stream."""
    versions: dict[str, str] = field(default_factory=dict)
    resources: dict[str, bytes] = field(default_factory=dict)


class DeltaClient:
    """Takes clusters and listeners whole (wildcard), and of the others, secrets too, the names that it is told to follow.

    Every response ends in :meth:`ack` or :meth:`nack`, in the order of arrival.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._types = {type_url: _Subscription() for type_url in (*ADS_ORDER, SECRET)}

    def start(self) -> list[DeltaRequest]:
        """The first requests of a new stream, with the versions of what is there from an earlier one."""
        requests: list[DeltaRequest] = []
        for type_url, state in self._types.items():
            state.begun = type_url in WILDCARD or bool(state.names)
            if state.begun:
                node = None if requests else self._node
                names = tuple(sorted(state.names))
                requests.append(DeltaRequest(type_url, subscribe=names, initial=dict(state.versions), node=node))
        return requests

    def restore(self, type_url: str, resources: Mapping[str, bytes]) -> None:
        """Takes over what an earlier run left; of endpoints, routes and secrets the names are followed."""
        state = self._types[type_url]
        state.resources, state.versions = dict(resources), {}
        state.names = set() if type_url in WILDCARD else set(resources)

    def with_responses(self, type_url: str, responses: Iterable[DeltaResponse]) -> Mapping[str, bytes]:
        """The resources of a type as they would be when these responses were taken."""
        found = dict(self._types[type_url].resources)
        for response in responses:
            for name in response.removed:
                found.pop(name, None)
            found |= {name: data for name, _, data in response.resources if self._is_wanted(type_url, name)}
        return found

    def _is_wanted(self, type_url: str, name: str) -> bool:
        return type_url in WILDCARD or name in self._types[type_url].names

    def ack(self, response: DeltaResponse) -> DeltaRequest:
        """Takes a response: its resources, and the absence of what it says is gone."""
        state = self._types[response.type_url]
        state.resources = dict(self.with_responses(response.type_url, [response]))
        for name in response.removed:
            state.versions.pop(name, None)
        for name, version, _ in response.resources:
            if self._is_wanted(response.type_url, name):
                state.versions[name] = version
        return DeltaRequest(response.type_url, response.nonce)

    def nack(self, response: DeltaResponse, message: str) -> DeltaRequest:
        """Refuses a response with a reason; what was accepted before stays."""
        return DeltaRequest(response.type_url, response.nonce, error_detail=message)

    def subscribe(self, type_url: str, names: Iterable[str]) -> DeltaRequest | None:
        """Sets the names that are followed of endpoints or routes; ``None`` when nothing is to be sent."""
        state, wanted = self._types[type_url], set(names)
        added, gone = wanted - state.names, state.names - wanted
        if not added and not gone:
            return None
        state.names = wanted
        for name in gone:
            state.resources.pop(name, None)
            state.versions.pop(name, None)
        if not state.begun and not wanted:
            return None
        state.begun = True
        return DeltaRequest(type_url, subscribe=tuple(sorted(added)), unsubscribe=tuple(sorted(gone)))

    def wait_for(self, type_url: str, names: Iterable[str]) -> None:
        """What is there of these names does not count any more (a cluster was built anew and waits for its endpoints): a new
        stream asks for them as if there were nothing."""
        for name in names:
            self._types[type_url].versions.pop(name, None)

    def accepted(self, type_url: str) -> Mapping[str, bytes]:
        """The accepted resources of a type, by name."""
        return self._types[type_url].resources

    def names(self, type_url: str) -> frozenset[str]:
        """The names that are followed (empty for the wildcard types)."""
        return frozenset(self._types[type_url].names)

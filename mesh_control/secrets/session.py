"""The conversation about secrets on one stream, in both protocols; nothing else is ordered by it. No sockets."""

from collections.abc import Mapping

from mesh_api.xds.session import DeltaRequest, DeltaResponse, Request, Response
from mesh_api.xds.session.ledger import version_of
from mesh_api.xds.type_urls import SECRET

Asked = Request | DeltaRequest
Answer = Response | DeltaResponse


class SecretSession:
    """What is asked for, and what was told last: of secrets that were sent it keeps versions alone.

    A response that was refused is not sent again until something in it changes. Of a secret that is gone, a client of the
    state of the world hears nothing, and one of the delta protocol that it is gone; Envoy goes on with the one that it has.
    """

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._count = 0
        self._nonce = ""
        self._told: dict[str, str | None] = {}
        self.names: frozenset[str] = frozenset()
        self.error = ""
        """Why the client refused the last response; empty: it did not."""

    def on_request(self, request: Asked) -> None:
        """Takes a subscription, an answer, or both. Names of a stale request count all the same: the latest are right."""
        if request.nonce and request.nonce == self._nonce:
            self.error = request.error_detail or ""
        if isinstance(request, Request):
            if not request.nonce:
                self._told = {}
            self.names = frozenset(request.resource_names)
        else:
            if not self._count and not self.names:
                self._told.update(request.initial)
            for name in request.subscribe:  # asked for again is answered again
                if name not in request.initial:
                    self._told.pop(name, None)
            self.names = (self.names | {*request.subscribe, *request.initial}) - {*request.unsubscribe}
        self._told = {name: version for name, version in self._told.items() if name in self.names}

    def answers(self, found: Mapping[str, bytes], *, delta: bool) -> list[Answer]:
        """What is to be sent, where ``found`` is what there is of the names."""
        versions: dict[str, str] = {name: version_of(data) for name, data in found.items() if name in self.names}
        changed = sorted(name for name, version in versions.items() if self._told.get(name) != version)
        gone = sorted(name for name in self.names - versions.keys() if self._told.get(name, "") is not None)
        self._told |= {name: versions[name] for name in changed}
        if delta:
            self._told |= dict.fromkeys(gone)
        if not changed and not (delta and gone):
            return []
        self._count += 1
        self._nonce = f"{self._stream}-secrets-{self._count}"
        version = str(self._count)
        if delta:
            triples = tuple((name, versions[name], found[name]) for name in changed)
            return [DeltaResponse(SECRET, version, self._nonce, triples, tuple(gone))]
        return [Response(SECRET, version, self._nonce, tuple((name, found[name]) for name in changed))]

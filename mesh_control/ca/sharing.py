"""The shell around :mod:`~mesh_control.ca.shared`: a Secret is read, and written for the version that was read.

The key stands in the Secret and in this process's memory, and nowhere else: no file has it, and no message.
"""

import asyncio
import base64
import binascii
import contextlib
import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from mesh_control.ca import certificates, pem, shared, told
from mesh_control.ca.authority import Authority, AuthorityError, Terms
from mesh_control.ca.distrust import Distrust
from mesh_control.ca.shared import LAG, Data, Rules, Shared, SharedError
from mesh_control.sources.kubernetes.access import Access
from mesh_control.sources.kubernetes.api import MERGE, Api, ApiError

log = logging.getLogger("mesh_control.ca")
GIVEN = "cacerts"
"""Istio's name for the Secret that an operator puts an authority into."""
TYPE = "istio.io/ca-root"
NOT_FOUND, CONFLICT = 404, 409
TURNS = 8
"""How often a change is thought over when another replica was faster each time."""
BEGIN_SECONDS, RETRY_SECONDS = 20.0, 2.0
"""How long an API server that does not answer is waited for at the start, and between two tries."""


class PlaceError(Exception):
    """A Secret cannot be read or written; the message quotes none of it. ``status`` is HTTP's, 0 without a connection."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Stored:
    """What stands in a Secret, and of which version that is."""

    data: Data = field(repr=False)
    version: str = ""


class Place(Protocol):
    """Where Secrets of one namespace are. Everything raises :class:`PlaceError`."""

    async def read(self, name: str) -> Stored | None:
        """The Secret as it is now; ``None``: there is none."""

    async def write(self, name: str, data: Data, version: str) -> None:
        """Put it there for that version, or make it where the version is empty: with status 409 where it is another one."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """Those of a namespace of a cluster."""

    access: Access
    namespace: str

    async def read(self, name: str) -> Stored | None:
        """See :class:`Place`."""
        try:
            async with Api(self.access) as api:
                value = await api.request("GET", f"{self._path}/{name}")
        except ApiError as error:
            if error.status == NOT_FOUND:
                return None
            raise self._failed(name, "read", error) from None
        return Stored(_decoded(value.get("data") or {}), str(value["metadata"]["resourceVersion"]))

    async def write(self, name: str, data: Data, version: str) -> None:
        """See :class:`Place`."""
        encoded = {key: base64.b64encode(text).decode() for key, text in data.items()}
        try:
            async with Api(self.access) as api:
                if version:
                    body: dict[str, Any] = {"metadata": {"resourceVersion": version}, "data": encoded}
                    await api.request("PATCH", f"{self._path}/{name}", body, content=MERGE)
                else:
                    metadata = {"name": name, "namespace": self.namespace}
                    body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": TYPE, "data": encoded}
                    await api.request("POST", self._path, body)
        except ApiError as error:
            raise self._failed(name, "written", error) from None

    @property
    def _path(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/secrets"

    def _failed(self, name: str, what: str, error: ApiError) -> PlaceError:
        # Words about a Secret that is refused may be words of it.
        said = error.message if error.status in (0, 401, 403, NOT_FOUND, CONFLICT) else f"status {error.status}"
        return PlaceError(error.status, f"Secret {self.namespace}/{name} cannot be {what}: {said}")


def _decoded(data: Mapping[str, Any]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for key, text in data.items():
        with contextlib.suppress(binascii.Error, TypeError, ValueError):
            found[key] = base64.b64decode(text)
    return found


def rules_of(place: str, terms: Terms) -> Rules:
    """What a replica with these terms keeps to."""

    def make(now: float) -> certificates.Signer:
        return certificates.make_root(terms.trust_domain, pem.new_key(), now, terms.root_seconds)

    return Rules(place, terms.leaf_seconds, terms.margin, make, lambda: uuid.uuid4().hex)


@dataclass(slots=True)
class Sharing:
    """A replica's part in it. ``leads`` says whether it does what is due."""

    place: Place
    name: str
    rules: Rules
    clock: Callable[[], float]
    leads: Callable[[], bool] = lambda: False
    problem: str = ""
    """Why what stands there was not taken, or could not be read."""
    known: Shared | None = None
    read_at: float = 0.0
    """When the Secret was asked for that ``known`` is of."""

    async def begin(self) -> Shared:
        """What the others agree on; where nobody has begun, that. Raises :class:`OSError`, which says what is missing."""
        deadline = self.clock() + BEGIN_SECONDS
        while True:
            try:
                return await self.look()
            except SharedError as error:
                raise OSError(f"ca.secret: {error}") from None
            except PlaceError as error:
                if error.status in (401, 403) or self.clock() >= deadline:
                    raise OSError(f"ca.secret: {error}") from None
                log.warning("ca.secret: %s; it is tried again", error)
            await asyncio.sleep(RETRY_SECONDS)

    async def look(self, change: Callable[[Shared, float], Shared] = lambda found, now: found) -> Shared:
        """Read what stands there, and write what is to be there, with that ``change`` of it.

        Raises :class:`PlaceError`, and :class:`~mesh_control.ca.shared.SharedError` also of the change.
        """
        try:
            async with asyncio.timeout(LAG * self.rules.seconds):
                return await self._looked(change)
        except TimeoutError:
            raise PlaceError(0, f"{self.rules.place}: the API server takes too long") from None

    async def _looked(self, change: Callable[[Shared, float], Shared]) -> Shared:
        for _ in range(TURNS):
            now = self.clock()
            stored, others = await self.place.read(self.name), await self.place.read(GIVEN)
            found = None if stored is None else stored.data
            made = self._made(found, None if others is None else others.data, now)
            made = change(made, now)
            content = shared.written(made)
            if found is None or any(found.get(key, b"") != text for key, text in content.items()):
                try:
                    await self.place.write(self.name, content, "" if stored is None else stored.version)
                except PlaceError as error:
                    if error.status in (CONFLICT, NOT_FOUND):
                        continue
                    raise
            self.known, self.read_at = made, now
            return made
        raise PlaceError(CONFLICT, f"{self.rules.place}: others write it all the time")

    def _made(self, found: Data | None, others: Data | None, now: float) -> Shared:
        leads, self.problem = self.leads(), ""
        made = shared.wanted(found, others, self.known, self.rules, now, leads=leads)
        try:
            return shared.adopted(made, found, others, self.rules, now, leads=leads)
        except SharedError as error:
            self.problem = str(error)
            return made

    async def turn(self) -> None:
        """Look once; what cannot be done is told in :attr:`problem`."""
        try:
            await self.look()
        except (PlaceError, SharedError) as error:
            self.problem = str(error)

    async def rotate(self) -> None:
        """Make a new root that will sign in its turn. Raises :class:`~mesh_control.ca.authority.AuthorityError`."""
        await self._changed(lambda found, now: shared.rotated(found, self.rules, now))

    async def distrust(self, authority: Authority, name: str) -> Distrust:
        """See :meth:`~mesh_control.ca.authority.Authority.distrust`: what breaks is what this replica knows of. Raises
        :class:`~mesh_control.ca.authority.AuthorityError`."""
        await self.turn()
        if self.known is not None:
            authority.share(self.known, self.read_at)
        broken = await asyncio.to_thread(authority.broken_without, name, self.clock())
        authority.refuse_what_stays(broken.name)
        await self._changed(lambda found, now: self._without(found, broken.name, now))
        authority.distrusted(broken, self.clock())
        return broken

    def _without(self, found: Shared, name: str, now: float) -> Shared:
        if name not in found.trust:
            raise SharedError(f"{told.short(name)} is not trusted any more")
        return shared.without(found, name, self.rules, now)

    async def _changed(self, change: Callable[[Shared, float], Shared]) -> None:
        try:
            await self.look(change)
        except (PlaceError, SharedError) as error:
            raise AuthorityError(str(error)) from None

"""Who may have which secret, as istiod decides it (``pilot/pkg/xds/sds.go``), and what every stream is sent of them.

Only an identity that was proven, and one alone, gets any: whoever comes without TLS, or with a token that proxies share, gets
none. A secret that somebody does not get is told, and others are served all the same.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from mesh_api.identity import IdentityError, SpiffeId
from mesh_api.xds.secrets import SecretBytes
from mesh_control.secrets.content import Content, encoded
from mesh_control.secrets.references import Reference, Scheme, SecretError, parse
from mesh_control.secrets.session import Answer, Asked, SecretSession
from mesh_control.world import World

log = logging.getLogger("mesh_control.secrets")


@runtime_checkable
class Keeper(Protocol):
    """A source that has secrets."""

    def content(self, kind: str, namespace: str, name: str) -> Content | None:
        """What is in a ``Secret`` or ``ConfigMap``; ``None``: it is not there. Raises :class:`SecretError` where it cannot
        be used."""

    async def may_read(self, namespace: str, service_account: str) -> bool:
        """Whether an account may read the Secrets of its own namespace."""


@dataclass(slots=True)
class _Client:
    session: SecretSession
    identity: SpiffeId | None
    delta: bool
    who: str
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """So that what was found later is not overtaken by what was found before."""
    problems: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Desk:
    """See the module's docstring. ``failed`` is told of every secret that somebody is newly refused."""

    keepers: tuple[Keeper, ...] = field(repr=False)
    failed: Callable[[], None] = lambda: None
    _clients: dict[str, _Client] = field(default_factory=dict)
    _encoded: dict[tuple[str, Reference], tuple[Content, SecretBytes]] = field(default_factory=dict, repr=False)

    async def on_request(
        self, stream: str, request: Asked, who: str, identities: Iterable[str], world: World, *, delta: bool
    ) -> list[Answer]:
        """What to send in answer; ``who`` is the proxy, for messages, ``identities`` is what it has proven."""
        client = self._clients.get(stream)
        if client is None:
            client = self._clients[stream] = _Client(SecretSession(stream), _single(identities), delta, who)
        before = client.session.error
        client.session.on_request(request)
        if client.session.error and client.session.error != before:
            log.warning("%s refused secrets: %s", client.who, client.session.error)
        return await self._answers(client, world)

    async def renewed(self, world: World) -> dict[str, list[Answer]]:
        """By stream, what to send after secrets, or the rights to them, may have changed."""
        clients = dict(self._clients)
        found = await asyncio.gather(*(self._answers(client, world) for client in clients.values()))
        wanted = {name for client in self._clients.values() for name in client.session.names}
        self._encoded = {key: made for key, made in self._encoded.items() if key[0] in wanted}
        return {stream: answers for stream, answers in zip(clients, found, strict=True) if answers}

    def close(self, stream: str) -> None:
        """A connection has ended."""
        self._clients.pop(stream, None)

    def problems(self) -> list[str]:
        """A line for each secret that a connected proxy asks for and does not get, and for each refusal."""
        told = {f"{c.who}: secret {name}: {why}" for c in self._clients.values() for name, why in c.problems.items()}
        refused = {f"{c.who} refused secrets: {c.session.error}" for c in self._clients.values() if c.session.error}
        return sorted(told | refused)

    async def _answers(self, client: _Client, world: World) -> list[Answer]:
        async with client.lock:
            return await self._answers_in_turn(client, world)

    async def _answers_in_turn(self, client: _Client, world: World) -> list[Answer]:
        found: dict[str, SecretBytes] = {}
        problems: dict[str, str] = {}
        for name in sorted(client.session.names):
            try:
                found[name] = await self._secret(name, client.identity, world)
            except SecretError as error:
                problems[name] = str(error)
        for name, why in problems.items():
            if client.problems.get(name) != why:
                log.warning("%s: secret %s: %s", client.who, name, why)
                self.failed()
        client.problems = problems
        return client.session.answers(found, delta=client.delta)

    async def _secret(self, name: str, identity: SpiffeId | None, world: World) -> SecretBytes:
        if identity is None:
            raise SecretError("the proxy has not proven who it is; it has to connect with TLS, and as one identity")
        reference = parse(name, identity.namespace)
        if reference.scheme is Scheme.GATEWAY and name not in _granted(world, identity.namespace):
            raise SecretError("no Gateway of the proxy's namespace may use it")
        if reference.scheme is Scheme.OBJECT and reference.namespace != identity.namespace:
            raise SecretError("it is of another namespace than the proxy")
        for candidate in reference.candidates:
            for keeper in self.keepers:
                content = keeper.content(reference.kind, reference.namespace, candidate)
                if content is not None:
                    await _allowed(keeper, reference, identity)
                    return self._made(name, reference, content)
        raise SecretError("it is not there")

    def _made(self, name: str, reference: Reference, content: Content) -> SecretBytes:
        kept = self._encoded.get((name, reference))
        if kept is None or kept[0] != content:
            kept = self._encoded[name, reference] = (content, encoded(name, reference, content))
        return kept[1]


async def _allowed(keeper: Keeper, reference: Reference, identity: SpiffeId) -> None:
    """Roots are no secret, and a Gateway's right was looked at already."""
    if reference.scheme is not Scheme.OBJECT or reference.roots:
        return
    if not await keeper.may_read(identity.namespace, identity.service_account):
        raise SecretError(f"the account {identity.service_account} may not list the Secrets of its namespace")


def _single(identities: Iterable[str]) -> SpiffeId | None:
    try:
        (identity,) = (SpiffeId.parse(text) for text in identities)
    except (IdentityError, ValueError):
        return None
    return identity if identity.is_workload else None


def _granted(world: World, namespace: str) -> frozenset[str]:
    """What Gateways of the Gateway API in that namespace name, as far as it is theirs or was granted to them."""
    return world.once(("secrets of gateways", namespace), lambda: frozenset(_named(world, namespace)))


def _named(world: World, namespace: str) -> Iterable[str]:
    for gateway in world.converted.gateways:
        for server in gateway.spec.servers or () if gateway.metadata.namespace == namespace else ():
            if (tls := server.tls) is not None:
                yield from (name for name in (tls.credential_name, tls.ca_cert_credential_name) if name)
                yield from tls.credential_names or ()

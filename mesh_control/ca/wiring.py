"""The authority as a part of the control plane: its sockets, its clock, and what it is asked by operators."""

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from mesh_control.ca import given, pem
from mesh_control.ca.authentication import Authenticator, Credentials, JoinTokens, PeerCertificates
from mesh_control.ca.authority import Authority, AuthorityError, Terms
from mesh_control.ca.certificates import SigningError
from mesh_control.ca.front import Front, server_context
from mesh_control.ca.given import GivenError
from mesh_control.ca.service import CertificateService, Limits
from mesh_control.ca.sharing import Secrets, Sharing, rules_of
from mesh_control.ca.store import Store, StoreError, write_private
from mesh_control.ca.token_review import AUDIENCES, ApiServer, TokenReviews
from mesh_control.metrics import Metrics
from mesh_control.serve.limits import OPTIONS
from mesh_control.settings import CertificateAuthority, Settings, SettingsError
from mesh_control.sources.kubernetes.wiring import access_of

log = logging.getLogger("mesh_control.ca")

BACKEND = "grpc.sock"
NO_TOKENS = (
    "join tokens are known to one replica alone, and this authority is shared by several; workloads of the cluster, and "
    "machines, show a token of a service account (kubectl create token ACCOUNT --audience istio-ca)"
)
RENEWALS = 0.5
"""Part of the control plane's own certificate's life after which it gets the next one (Istio's grace ratio)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the authority is, and how it is reached. ``folder`` is its own; ``given`` has the files of one that is given.

    ``names``: what the control plane is called in its certificate. ``plaintext`` is an address of loopback, without TLS.
    """

    folder: Path
    address: str
    terms: Terms = field(default_factory=Terms)
    names: tuple[str, ...] = ("istiod.istio-system.svc",)
    given: Path | None = None
    plaintext: str | None = None
    api_server: ApiServer | None = None
    audiences: tuple[str, ...] = AUDIENCES


class Office:
    """An authority with its sockets open, between :meth:`start` and :meth:`stop`; :meth:`run` keeps it.

    ``beside`` makes one more service of the same port: a handler for gRPC's table. ``sharing``, which has begun, is the part
    in an authority of several replicas.

    Raises :class:`OSError` when an address cannot be bound, and what :class:`~mesh_control.ca.store.Store`,
    :func:`mesh_control.ca.given.read` and :class:`~mesh_control.ca.authority.Authority` raise.
    """

    def __init__(
        self,
        plan: Plan,
        metrics: Metrics,
        clock: Callable[[], float],
        limits: Limits | None = None,
        beside: "Callable[[Office], Any] | None" = None,
        sharing: Sharing | None = None,
    ) -> None:
        self._plan = plan
        self.sharing = sharing
        self._metrics = metrics
        self._clock = clock
        self._expires = self._renewal = 0.0
        self._serving = ("", "")
        self._problem = ""
        self._turns = asyncio.Lock()
        self.on_withdrawal: Callable[[], Awaitable[None]] = _nothing
        """Called when what somebody has shown may not be good any more."""
        signer = None if plan.given is None else given.read(plan.given, clock())
        self._store = Store(plan.folder)
        try:
            common = None if sharing is None else sharing.known
            self.authority = Authority(self._store, plan.terms, clock(), signer, common)
            self._front = Front(plan.address, plan.folder / BACKEND, self._fresh_context(), refused=self._refused)
        except BaseException:
            self._store.close()
            raise
        try:
            self._grpc = self._server(limits or Limits(), beside)
        except BaseException:
            self._front.close()
            self._store.close()
            raise

    @property
    def port(self) -> int:
        """Where TLS is spoken."""
        return self._front.port

    @property
    def authenticators(self) -> Sequence[Authenticator]:
        """The proofs that are taken."""
        return self._service.authenticators

    def credentials(self, context: Any) -> Credentials:
        """What came with a call, by the context that gRPC gives."""
        return self._service.credentials(context)

    def proven(self, context: Any) -> None:
        """Who makes the call of that context has proven who they are."""
        self._service.proven(context)

    def _refused(self, reason: str) -> None:
        self._metrics.count("meshwright_control_connections_refused", reason=reason)

    def _server(self, limits: Limits, beside: "Callable[[Office], Any] | None") -> Any:
        self._service = CertificateService(
            self.authority,
            self._authenticators(),
            self._clock,
            self._metrics,
            self._front.peer,
            self._front.proven,
            limits,
        )
        server = grpc.aio.server(options=OPTIONS)
        server.add_generic_rpc_handlers((self._service.handler(),))
        if beside is not None:
            server.add_generic_rpc_handlers((beside(self),))
        backend = self._plan.folder / BACKEND
        backend.unlink(missing_ok=True)
        addresses = [f"unix:{backend}"] if self._plan.plaintext is None else [f"unix:{backend}", self._plan.plaintext]
        for address in addresses:
            try:
                bound = server.add_insecure_port(address)
            except RuntimeError:
                bound = 0
            if not bound:
                raise OSError(f"ca: {address} cannot be bound; is it in use? set another one")
        return server

    def _authenticators(self) -> list[Authenticator]:
        found: list[Authenticator] = [PeerCertificates(self.authority), JoinTokens(self.authority)]
        if self._plan.api_server is not None:
            found.append(TokenReviews(self._plan.api_server.post, self._plan.terms.trust_domain, self._plan.audiences))
        return found

    async def start(self) -> None:
        """Accept calls."""
        await self._grpc.start()
        self._front.start()

    async def stop(self) -> None:
        """Finish the calls that are there, and leave the folder to the next one."""
        await self._grpc.stop(1.0)
        await self._front.stop()
        self._store.close()

    async def run(self) -> None:
        """Rotate and renew when it is time, for ever."""
        # Often enough for the shortest lifetime, of which each half counts.
        seconds = min(30.0, self._plan.terms.leaf_seconds / 20)
        while True:
            await asyncio.sleep(seconds)
            await self.turn()

    async def turn(self) -> None:
        """Do what is due now. What cannot be done is told, and tried again in the next turn."""
        before = {member.name for member in self.authority.trust.members}
        try:
            async with self._turns:
                if self.sharing is not None:
                    await self.sharing.turn()
                await asyncio.to_thread(self._keep)
            if before - {member.name for member in self.authority.trust.members}:
                await self.on_withdrawal()  # another replica may have been told to distrust it
            problem = self.authority.problem(self._clock()) or (
                self.sharing.problem if self.sharing is not None else ""
            )
        except (StoreError, GivenError, AuthorityError, SigningError, OSError) as error:
            problem = str(error)
        if problem and problem != self._problem:
            log.error("%s", problem)
        self._problem = problem

    def _keep(self) -> None:
        now = self._clock()
        if self.sharing is not None and self.sharing.known is not None:
            self.authority.share(self.sharing.known, self.sharing.read_at)
        self.authority.tick(now)
        self._refresh(now)  # before what may fail: nobody's certificate waits for files that are wrong
        if self._plan.given is not None and self.authority.adopt(given.read(self._plan.given, now), now):
            self._refresh(now)

    def _refresh(self, now: float) -> None:
        """Serve with the next certificate, and verify with the roots of now, where these are others."""
        if now >= self._renewal or self._serving != self._trusted():
            self._front.context = self._fresh_context()

    def _trusted(self) -> tuple[str, str]:
        return self.authority.signer().name, self.authority.bundle()

    def _fresh_context(self) -> ssl.SSLContext:
        now, trusted = self._clock(), self._trusted()
        key, chain = self.authority.serve(self._plan.names, now)
        # OpenSSL reads keys from files only: it is there for as long as it takes, for nobody else to open.
        file = self._plan.folder / "server.pem"
        try:
            write_private(file, pem.write_key(key) + pem.write_certificates(chain).encode())
            context = server_context(file, trusted[1])
        finally:
            file.unlink(missing_ok=True)
        self._expires, self._serving = pem.expires(chain[0]), trusted
        self._renewal = now + (self._expires - now) * RENEWALS
        return context

    # What operators and programs ask

    async def rotate(self) -> dict[str, Any]:
        """Begin to rotate the root. Raises :class:`~mesh_control.ca.authority.AuthorityError`."""
        async with self._turns:
            if self.sharing is not None:
                await self.sharing.rotate()
            else:
                await asyncio.to_thread(self.authority.rotate, self._clock())
        await self.turn()
        return self.status()

    async def distrust(self, name: str, *, confirmed: bool) -> dict[str, Any]:
        """What it breaks to trust a root no more, and, where that is ``confirmed``, that it is done: streams that were opened
        with its certificates end. Raises :class:`~mesh_control.ca.authority.AuthorityError`."""
        act = self.authority.distrust if confirmed else self.authority.broken_without
        async with self._turns:
            if confirmed and self.sharing is not None:
                broken = await self.sharing.distrust(self.authority, name)
            else:
                broken = await asyncio.to_thread(act, name, self._clock())
        if confirmed:
            await self.turn()
            await self.on_withdrawal()
        return {**broken.to_json(), "done": confirmed, "shared": self.sharing is not None}

    def status(self) -> dict[str, Any]:
        """See :meth:`~mesh_control.ca.authority.Authority.status`; with when the control plane's own certificate expires."""
        found = self.authority.status(self._clock())
        return {**found, "server_expires": self._expires, "problem": self._problem or found["problem"]}

    async def create_token(self, pattern: str, seconds: float, uses: int, note: str) -> dict[str, Any]:
        """A new join token; its text is in the answer and nowhere else. Raises
        :class:`~mesh_control.ca.tokens.TokenError`, and :class:`~mesh_control.ca.authority.AuthorityError` where other
        replicas would not know it."""
        if self.sharing is not None:
            raise AuthorityError(NO_TOKENS)
        now = self._clock()
        text, token = await asyncio.to_thread(self.authority.create_token, pattern, seconds, uses, note, now)
        return {"token": text, "id": token.id, "identity": str(token.grant), "expires": token.expires}

    def tokens(self) -> list[dict[str, Any]]:
        """Every join token."""
        return self.authority.tokens(self._clock())

    async def revoke_token(self, name: str, *, renewals: bool) -> int | None:
        """See :meth:`~mesh_control.ca.authority.Authority.revoke_token`. Streams that were opened with it end."""
        count = await asyncio.to_thread(self.authority.revoke_token, name, self._clock(), renewals=renewals)
        if count is not None:
            await self.on_withdrawal()
        return count

    def certificates(self) -> list[dict[str, Any]]:
        """See :meth:`~mesh_control.ca.authority.Authority.valid`."""
        return self.authority.valid(self._clock())

    def measure(self) -> None:
        """Set the gauges."""
        with contextlib.suppress(AuthorityError):
            for name, value in self.authority.measured(self._clock()).items():
                self._metrics.gauge(name, value)


async def _nothing() -> None:
    """Nobody is to be told."""


def plan_of(settings: Settings, section: CertificateAuthority) -> Plan:
    """What the settings say. Raises :class:`~mesh_control.settings.SettingsError` when there is no way to the cluster."""
    cluster = settings.kubernetes if section.token_audiences else None
    return Plan(
        folder=settings.state_dir / "ca",
        address=section.address,
        terms=Terms(section.trust_domain, section.lifetime.total_seconds(), margin=section.clock_skew.total_seconds()),
        names=section.server_names,
        given=section.given,
        plaintext=section.plaintext_address,
        api_server=None if cluster is None else ApiServer(access_of(cluster)),
        audiences=section.token_audiences,
    )


async def _begun(settings: Settings, section: CertificateAuthority, terms: Terms) -> Sharing | None:
    """The part in the authority of all replicas; ``None`` where it is not one of several. Raises :class:`OSError`."""
    if section.secret is None or settings.kubernetes is None:
        return None
    namespace, _, name = section.secret.partition("/")
    place = Secrets(access_of(settings.kubernetes), namespace)
    sharing = Sharing(place, name, rules_of(f"Secret {section.secret}", terms), time.time)
    await sharing.begin()
    return sharing


@contextlib.asynccontextmanager
async def from_settings(
    settings: Settings, metrics: Metrics, beside: Callable[[Office], Any] | None = None
) -> AsyncIterator[Office | None]:
    """The authority of a control plane while this is open; ``None`` where none is wanted. ``beside``: see :class:`Office`.

    Raises :class:`OSError`, which says what cannot be used.
    """
    if settings.ca is None:
        yield None
        return
    try:
        plan = plan_of(settings, settings.ca)
        sharing = await _begun(settings, settings.ca, plan.terms)
        made = Office(plan, metrics, time.time, beside=beside, sharing=sharing)
    except (SettingsError, StoreError, GivenError, AuthorityError, SigningError) as error:
        raise OSError(f"ca: {error}") from None
    await made.start()
    log.info("certificates on %s", settings.ca.address)
    try:
        yield made
    finally:
        await made.stop()

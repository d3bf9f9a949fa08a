"""The way of a configuration: from the stream into the store, to the workers, onto the disk, and the answer back."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mesh_api.config import ProxyConfig, Secret
from mesh_api.xds.errors import DecodeError
from mesh_api.xds.resources import KINDS
from mesh_api.xds.session import Known
from mesh_api.xds.type_urls import SHORT_NAMES
from mesh_proxy.bootstrap import Bootstrap, ControlPlane, Identity
from mesh_proxy.ipc import Rejected, Stats
from mesh_proxy.supervisor import last_good
from mesh_proxy.supervisor.ads import AdsStream, Answer, Asked
from mesh_proxy.supervisor.changes import Changes
from mesh_proxy.supervisor.config_store import ConfigStore, Snapshot
from mesh_proxy.supervisor.secrets import SecretKeeper
from mesh_proxy.supervisor.status import Facts, Status, status_of
from mesh_proxy.supervisor.token_keys import TokenKeys, filled
from mesh_proxy.supervisor.workers import Workers
from mesh_proxy.tls.contexts import check

if TYPE_CHECKING:
    from mesh_proxy.supervisor.identity import IdentityKeeper

log = logging.getLogger(__name__)

NOTHING = Snapshot(0, ProxyConfig())
_WATCH_SECONDS: Final = 1.0
"""How often files with secrets are looked at."""


class Delivery:
    """Keeps the workers at the newest complete configuration. ``on_change`` is called whenever :attr:`status` may differ.

    :meth:`run` does the work, until cancelled.
    """

    def __init__(self, bootstrap: Bootstrap, workers: Workers, on_change: Callable[[], None] = lambda: None) -> None:
        self._bootstrap = bootstrap
        self._workers = workers
        self._on_change = on_change
        control_plane = bootstrap.control_plane
        controlled, delta = control_plane is not None, control_plane is not None and control_plane.delta
        self._store = ConfigStore(bootstrap.node, bootstrap.static, controlled=controlled, judge=check, delta=delta)
        self._keeper = SecretKeeper(bootstrap.secrets, bootstrap.settings.identity)
        self._token_keys = TokenKeys(self._wake_up)
        self._keys_in_force = self._token_keys.known
        self.secrets: tuple[Secret, ...] = ()
        """What the workers have."""
        self._stream: AdsStream | None = None
        self._identity: IdentityKeeper | None = None
        self._wake = asyncio.Event()
        self._unsaved = asyncio.Event()
        self._connected = False
        self._lost = "not connected yet"
        self._refused = ""
        self._updates = {type_url: {"update_success": 0, "update_rejected": 0} for type_url in SHORT_NAMES}
        self._started = False
        self._changes = Changes()
        self._wake.set()
        if bootstrap.control_plane is not None:
            settings = bootstrap.settings
            self._stream = AdsStream(bootstrap.control_plane, self, settings.token_file, tls=settings.control_tls)
            if settings.identity is not None:
                self._identity = _keeper(bootstrap.control_plane, settings.identity, self._on_no_certificate)

    @property
    def in_force(self) -> Snapshot:
        """What the workers run; an empty one before the first."""
        return self._store.in_force or NOTHING

    @property
    def ready(self) -> bool:
        """Whether the workers run what the bootstrap or the control plane wants of this proxy.

        The first time this needs every worker; later a worker that is being started again does not count against it.
        """
        if self._store.in_force is None or not (self._stream is None or self._store.informed):
            return False
        self._started = self._started or self._workers.running == self._workers.count
        return self._started and self._workers.running > 0

    @property
    def failure(self) -> str:
        """Why a proxy without a control plane can never work; empty when it can."""
        return self._refused if self._stream is None and self._store.in_force is None else ""

    @property
    def status(self) -> Status:
        """How things stand with the control plane."""
        store = self._store
        return status_of(
            Facts(
                controlled=self._stream is not None,
                connected=self._connected,
                lost=self._lost,
                errors=store.errors,
                missing=store.waits_for(),
                informed=store.informed,
                has_policy=store.has_policy,
                in_force=store.in_force is not None,
                refused=self._refused,
            )
        )

    def stats(self) -> Stats:
        """The supervisor's own numbers about configuration, under Envoy's names."""
        counters = {
            f"{_STAT_PREFIXES[SHORT_NAMES[type_url]]}.{name}": value
            for type_url, updates in self._updates.items()
            for name, value in updates.items()
        }
        counters.update(self._changes.counters)
        gauges = {"control_plane.connected_state": int(self._connected), **self._changes.gauges()}
        found = self._identity.held if self._identity is not None else None
        if found is not None:  # Envoy's name, which counts whole days, and none left as 0
            gauges["server.days_until_first_cert_expiring"] = max(0, int((found.expires - time.time()) // 86400))
        return Stats(counters, gauges)

    def restore(self) -> None:
        """Takes up what an earlier run left, when it is sound."""
        directory = self._directory()
        if directory is None:
            return
        try:
            known = last_good.load(directory, self._bootstrap.node.id)
            if known is not None:
                self._store.restore(known)
                log.info("starting from the last good configuration in %s", directory)
        except (last_good.LastGoodError, DecodeError) as error:
            log.warning("the last good configuration is not used: %s", error)

    async def run(self) -> None:
        """Applies, answers and saves, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._apply_for_ever(), name="delivery-apply")
            tasks.create_task(self._watch_files(), name="delivery-secret-files")
            tasks.create_task(self._token_keys.run(), name="delivery-token-keys")
            if self._stream is not None:
                tasks.create_task(self._run_stream(self._stream), name="delivery-stream")
                tasks.create_task(self._save_for_ever(), name="delivery-save")

    async def _run_stream(self, stream: AdsStream) -> None:
        if self._identity is None:
            await stream.run()
            return
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._identity.run(), name="delivery-identity")
            await self._identity.ready.wait()
            tasks.create_task(stream.run(), name="delivery-stream-with-identity")

    def _on_no_certificate(self, reason: str) -> None:
        if not self._connected:
            self.on_disconnect(reason)

    def save_the_rest(self) -> None:
        """At the end, after :meth:`run`: keeps what is not kept yet."""
        directory = self._directory()
        if directory is not None and self._unsaved.is_set():
            self._save(directory, self._store.accepted())

    def on_connect(self) -> Iterable[Asked]:
        """Part of :class:`~mesh_proxy.supervisor.ads.Listener`."""
        return self._store.connect()

    def on_response(self, response: Answer) -> Iterable[Asked]:
        """Part of :class:`~mesh_proxy.supervisor.ads.Listener`."""
        # Only now: a server that refuses the stream lets it be opened first.
        self._connected = True
        requests = self._store.on_response(response)
        self._count_refusals(requests)
        log.debug("%s %s arrived", SHORT_NAMES.get(response.type_url, response.type_url), response.version_info)
        self._changed()
        return requests

    def on_disconnect(self, reason: str) -> None:
        """Part of :class:`~mesh_proxy.supervisor.ads.Listener`."""
        self._connected = False
        self._lost = reason
        self._on_change()

    async def _apply_for_ever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while (snapshot := self._store.next_snapshot()) is not None:
                await self._apply(snapshot)
            await self._apply_secrets()
            self._on_change()

    async def _watch_files(self) -> None:
        """Looks for other secrets in the files of the old ones; also the proxy's own certificate is renewed in its file."""
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            if self._keeper.stale:
                self._wake.set()

    async def _apply_secrets(self) -> None:
        """Gives the workers what is new among the secrets of the configuration in force."""
        current, keys = self._store.in_force, self._token_keys.known
        if current is None:
            return
        secrets = self._keeper.of(current.config, self._store.streamed)
        if secrets == self.secrets and keys is self._keys_in_force:
            return
        changed = ", ".join(sorted({secret.name for secret in {*secrets} ^ {*self.secrets}})) or "keys of tokens"
        snapshot = self._store.again()
        self._keys_in_force = keys
        rejected = await self._workers.apply(snapshot.number, filled(snapshot.config, keys), secrets)
        if rejected is not None:
            log.error("the secrets %s are refused by the workers: %s", changed, describe(rejected))
            return
        self.secrets = secrets
        self._store.applied(snapshot)
        log.info("secrets are in force: %s", changed)

    async def _apply(self, snapshot: Snapshot) -> None:
        current = self._store.in_force
        rejected, secrets = None, self._keeper.of(snapshot.config, self._store.streamed)
        if current is None or snapshot.config != current.config:
            keys = self._keys_in_force = self._token_keys.known
            rejected = await self._workers.apply(snapshot.number, filled(snapshot.config, keys), secrets)
            self.secrets = self.secrets if rejected else secrets
        if rejected is None:
            self._token_keys.want(snapshot.config)
            self._changes.take(snapshot.config)
            self._refused = ""
            requests = self._store.applied(snapshot)
            for type_url in snapshot.nonces:
                self._updates[type_url]["update_success"] += 1
            if self._store.informed:
                self._unsaved.set()
            log.info("configuration %d is in force: %s", snapshot.number, _describe(snapshot.config))
        else:
            reason = describe(rejected)
            self._refused = "" if snapshot.nonces else reason
            requests = self._store.rejected(snapshot, reason, type_of(rejected.resource))
            log.error("configuration %d is refused by the workers: %s", snapshot.number, reason)
        self._count_refusals(requests)
        if self._stream is not None:
            self._stream.send(requests)
        self._on_change()

    async def _save_for_ever(self) -> None:
        while (directory := self._directory()) is not None:
            await self._unsaved.wait()
            # A change during the write (fsync may take its time) makes another one; a cancelled write is finished.
            self._unsaved.clear()
            writing = asyncio.create_task(asyncio.to_thread(self._save, directory, self._store.accepted()))
            try:
                await asyncio.shield(writing)
            except asyncio.CancelledError:
                await asyncio.gather(writing, return_exceptions=True)
                raise

    def _save(self, directory: Path, known: Mapping[str, Known]) -> None:
        try:
            last_good.save(directory, self._bootstrap.node.id, known)
        except OSError as error:
            log.error("the last good configuration cannot be kept in %s: %s", directory, error.strerror)

    def _directory(self) -> Path | None:
        return None if self._stream is None else self._bootstrap.settings.state_dir

    def _count_refusals(self, requests: Iterable[Asked]) -> None:
        """Counts the refusals among ``requests``."""
        for request in requests:
            if request.error_detail is not None:
                self._updates[request.type_url]["update_rejected"] += 1
                log.error("%s is refused: %s", SHORT_NAMES[request.type_url], request.error_detail)

    def _wake_up(self) -> None:
        self._wake.set()

    def _changed(self) -> None:
        self._wake.set()
        self._on_change()


def _keeper(control_plane: ControlPlane, identity: Identity, failed: Callable[[str], None]) -> "IdentityKeeper":
    from mesh_proxy.supervisor.identity import IdentityKeeper  # brings cryptography

    return IdentityKeeper(control_plane, identity, failed)


_STAT_PREFIXES = {
    "CDS": "cluster_manager.cds",
    "EDS": "cluster_manager.eds",
    "LDS": "listener_manager.lds",
    "RDS": "listener_manager.rds",
    "SDS": "sds",
}


def describe(rejected: Rejected) -> str:
    """The refusal as the text of a NACK."""
    return f"{rejected.resource}: {rejected.reason}" if rejected.resource else rejected.reason


def type_of(resource: str) -> str | None:
    """The type URL of ``listener NAME``, ``cluster NAME`` ..., as workers name what they refuse."""
    return next((kind.type_url for kind in KINDS if resource.startswith(kind.noun + " ")), None)


def _describe(config: ProxyConfig) -> str:
    return ", ".join(f"{len(getattr(config, kind.section))} {kind.section}" for kind in KINDS)

"""Secrets that the configuration names: from the stream, from files, from the bootstrap, or the proxy's own identity.

A secret that nothing can be made of is never handed on: the one before stays, and the log says why. Names are those of
Istio's agent, which hands them out over SDS: ``default`` and ``ROOTCA`` are the workload's certificate and whom it trusts,
``file-cert:CERTIFICATE~KEY`` and ``file-root:FILE`` are files of this machine (``file-root:system``: whom it trusts itself).
"""

import logging
import os
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mesh_api.config import ProxyConfig, Secret, TlsCertificate, TrustedRoots
from mesh_api.config.proxy_config import secret_sources
from mesh_proxy.bootstrap import Identity
from mesh_proxy.tls.contexts import TlsError, check

log = logging.getLogger(__name__)

OWN: Final = "default"
ROOTS: Final = "ROOTCA"
FILE_CERTIFICATE: Final = "file-cert:"
FILE_ROOTS: Final = "file-root:"
SYSTEM: Final = "system"
_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"

Signature = tuple[tuple[int, int, int] | None, ...]
"""Of files: when written, which, how long; ``None`` for one that is not there."""


@dataclass(slots=True)
class _Read:
    """What was read last for a name, and from which state of its files; ``secret`` is the last good one."""

    paths: tuple[Path, ...]
    signature: Signature = ()
    secret: Secret | None = None


class SecretKeeper:
    """Finds secrets by name, and remembers the last good one of each."""

    def __init__(self, static: Iterable[Secret] = (), identity: Identity | None = None) -> None:
        self._static = {secret.name: secret for secret in static}
        self._identity = identity
        self._read: dict[str, _Read] = {}
        self._missed: set[str] = set()

    def of(self, config: ProxyConfig, streamed: Mapping[str, Secret]) -> tuple[Secret, ...]:
        """Those that ``config`` names and that are there, sorted by name; ``streamed`` are those of the control plane."""
        found = {}
        for source in secret_sources(config):
            if source.static:
                secret = self._static.get(source.name)
            elif source.cluster:
                secret = self._from_files(source.name)
            else:
                secret = streamed.get(source.name)
            if secret is not None:
                found[source.name] = secret
            self._tell(source.name, missing=secret is None)
        self._read = {name: read for name, read in self._read.items() if name in found or read.secret is None}
        return tuple(found[name] for name in sorted(found))

    @property
    def stale(self) -> bool:
        """Whether a file that was looked at is another one by now."""
        return any(_signature(read.paths) != read.signature for read in self._read.values())

    def _tell(self, name: str, *, missing: bool) -> None:
        if missing and name not in self._missed:
            log.warning("the secret %s is not there yet: connections that need it are refused", name)
            self._missed.add(name)
        elif not missing:
            self._missed.discard(name)

    def _from_files(self, name: str) -> Secret | None:
        read = self._read.get(name)
        if read is None:
            paths = self._paths(name)
            if not paths:
                return None
            read = self._read[name] = _Read(paths)
        signature = _signature(read.paths)
        if signature != read.signature:
            read.signature = signature
            read.secret = self._load(name, read)
        return read.secret

    def _load(self, name: str, read: _Read) -> Secret | None:
        """Reads it anew; the former one when that is no good."""
        try:
            secret = _secret(name, [path.read_bytes() for path in read.paths])
            check(secret)
        except OSError as error:
            if None not in read.signature:
                log.error("the secret %s: %s: %s", name, error.filename, error.strerror)
            return read.secret
        except TlsError as error:
            log.error(
                "%s; %s", error, "the one before stays" if read.secret else "connections that need it are refused"
            )
            return read.secret
        return secret

    def _paths(self, name: str) -> tuple[Path, ...]:
        """The files of a secret; none for one that nobody here has."""
        if name == OWN:
            return () if self._identity is None else (self._identity.pair,)
        if name == ROOTS:
            return () if self._identity is None else (self._identity.roots,)
        if name.startswith(FILE_CERTIFICATE):
            return tuple(map(Path, name.removeprefix(FILE_CERTIFICATE).split("~", 1)))
        if name.startswith(FILE_ROOTS):
            file = name.removeprefix(FILE_ROOTS)
            return (_system_roots() if file == SYSTEM else Path(file),)
        return ()


def _secret(name: str, contents: list[bytes]) -> Secret:
    if name in (ROOTS,) or name.startswith(FILE_ROOTS):
        return TrustedRoots(name, contents[0])
    if name == OWN:
        key, begin, chain = contents[0].partition(_BEGIN)
        return TlsCertificate(name, begin + chain, key)
    return TlsCertificate(name, contents[0], contents[-1])


def _system_roots() -> Path:
    paths = ssl.get_default_verify_paths()
    usual = (
        paths.cafile,
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/cert.pem",
    )
    return next((Path(path) for path in usual if path and os.path.exists(path)), Path(paths.openssl_cafile))


def _signature(paths: Iterable[Path]) -> Signature:
    found: list[tuple[int, int, int] | None] = []
    for path in paths:
        try:
            status = path.stat()
            found.append((status.st_mtime_ns, status.st_ino, status.st_size))
        except OSError:
            found.append(None)
    return tuple(found)

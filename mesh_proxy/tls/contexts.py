"""TLS contexts, made of configuration and secrets (Envoy ``transport_sockets.tls.v3``).

OpenSSL reads a certificate's key from files only: they are given a file in memory that nobody else has, so that no key ever
stands on a disk.
"""

import os
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from mesh_api.config import CommonTls, DownstreamTls, TlsParameters, UpstreamTls
from mesh_proxy.routing.matchers import string_test
from mesh_proxy.tls.peer import NOBODY, Peer
from mesh_proxy.tls.secrets import Secret, TlsCertificate, TrustedRoots

_VERSIONS: Final = {
    "": None,
    "TLS_AUTO": None,
    "TLSv1_0": ssl.TLSVersion.TLSv1,
    "TLSv1_1": ssl.TLSVersion.TLSv1_1,
    "TLSv1_2": ssl.TLSVersion.TLSv1_2,
    "TLSv1_3": ssl.TLSVersion.TLSv1_3,
}
NOT_SUPPLIED: Final = "TLS_error:_Secret_is_not_supplied_by_SDS"


class TlsError(ValueError):
    """A setting or a secret that no context can be made of. The message names it and has nothing secret in it."""


class Tls:
    """One end's settings, ready: makes the TLS sides of sockets, and judges who is at the other end.

    ``waiting`` names the secrets that are not there yet: until they are, connections are refused.
    """

    __slots__ = ("_context", "_names", "_server", "sni", "waiting")

    def __init__(self, config: DownstreamTls | UpstreamTls, secrets: Mapping[str, Secret]) -> None:
        """Raises :class:`TlsError`."""
        self._server = isinstance(config, DownstreamTls)
        self.sni = config.sni if isinstance(config, UpstreamTls) else ""
        self.waiting = tuple(name for name in named(config.common) if name not in secrets)
        self._names: tuple[Callable[[bytes], bool], ...] = ()
        self._context: ssl.SSLContext | None = None
        if self.waiting:
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if self._server else ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False  # names are judged by what the configuration asks for
        context.verify_mode = ssl.CERT_NONE
        _bound(context, config.common.parameters)
        if config.common.alpn:
            context.set_alpn_protocols(list(config.common.alpn))
        for source in config.common.certificates:
            _show(context, secrets[source.name])
        self._believe(context, config, secrets)
        self._context = context

    def _believe(
        self, context: ssl.SSLContext, config: DownstreamTls | UpstreamTls, secrets: Mapping[str, Secret]
    ) -> None:
        validation = config.common.validation
        if validation is None:
            if isinstance(config, DownstreamTls) and config.require_client_certificate:
                raise TlsError("require_client_certificate: there is nothing to check certificates with")
            return
        if validation.spki or validation.hashes:
            raise TlsError("certificates known by their hash are not supported yet")
        if validation.accept_untrusted:
            raise TlsError("trust_chain_verification ACCEPT_UNTRUSTED is not supported yet")
        roots = _roots(
            validation.roots.name if validation.roots else "", validation.trusted_ca, validation.crl, secrets
        )
        _trust(context, roots)
        optional = isinstance(config, DownstreamTls) and not config.require_client_certificate
        context.verify_mode = ssl.CERT_OPTIONAL if optional else ssl.CERT_REQUIRED
        self._names = tuple(string_test(match) for match in validation.subject_alt_names)

    @property
    def server(self) -> bool:
        """Whether it is for connections from clients."""
        return self._server

    def wrap(self, sock: Any) -> ssl.SSLSocket | None:
        """The TLS side of a connected, non-blocking socket, which it takes over; ``None`` while a secret is missing."""
        context = self._context
        if context is None:
            return None
        name = None if self._server or not self.sni else self.sni
        return context.wrap_socket(sock, server_side=self._server, do_handshake_on_connect=False, server_hostname=name)

    def peer(self, wrapped: ssl.SSLSocket) -> Peer:
        """Who the other end is, after the handshake."""
        certificate = wrapped.getpeercert(binary_form=True)
        if not certificate:
            return NOBODY
        return Peer(certificate, wrapped.getpeercert() or {})

    def accepts(self, peer: Peer) -> bool:
        """Whether it has one of the names that are asked for."""
        if not self._names or not peer.certificate:
            return True  # that there must be a certificate, the handshake has seen to
        return any(test(name) for test in self._names for name in peer.names)


def named(common: CommonTls) -> tuple[str, ...]:
    """Names of the secrets that are asked for."""
    roots = common.validation.roots if common.validation is not None else None
    return (*(source.name for source in common.certificates), *((roots.name,) if roots is not None else ()))


def _bound(context: ssl.SSLContext, parameters: TlsParameters) -> None:
    """Versions and ciphers; without, TLS 1.2 and later (Envoy's default)."""
    for name in (parameters.minimum_version, parameters.maximum_version):
        if name not in _VERSIONS:
            raise TlsError(f"the TLS version {name} is not known")
    context.minimum_version = _VERSIONS[parameters.minimum_version] or ssl.TLSVersion.TLSv1_2
    context.maximum_version = _VERSIONS[parameters.maximum_version] or ssl.TLSVersion.MAXIMUM_SUPPORTED
    if parameters.cipher_suites:
        # Envoy's groups of equals, [A|B], are tried in their order.
        ciphers = ":".join(parameters.cipher_suites).replace("[", "").replace("]", "").replace("|", ":")
        try:
            context.set_ciphers(ciphers)
        except ssl.SSLError:
            raise TlsError(f"cipher_suites: {ciphers} is not known") from None
    if parameters.ecdh_curves and hasattr(context, "set_groups"):
        context.set_groups(":".join(parameters.ecdh_curves))
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION


def _show(context: ssl.SSLContext, secret: Secret) -> None:
    if not isinstance(secret, TlsCertificate):
        raise TlsError(f"the secret {secret.name} is no certificate")
    try:
        with _file(secret.chain.rstrip() + b"\n" + secret.key) as path:
            context.load_cert_chain(path)
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        raise TlsError(f"the secret {secret.name} is no certificate with its key: {reason}") from None


@contextmanager
def _file(content: bytes) -> Iterator[str]:
    """A file in memory, as long as it is needed."""
    descriptor = os.memfd_create("tls", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _roots(name: str, file: str, crl: str, secrets: Mapping[str, Secret]) -> TrustedRoots:
    if name:
        secret = secrets[name]
        if not isinstance(secret, TrustedRoots):
            raise TlsError(f"the secret {name} is no set of roots")
        return secret
    if not file:
        raise TlsError("validation: there is nothing to check certificates with")
    return TrustedRoots(file, _read(file), _read(crl) if crl else b"")


def _read(file: str) -> bytes:
    try:
        with open(file, "rb") as opened:
            return opened.read()
    except OSError as error:
        raise TlsError(f"{file} cannot be read: {error.strerror}") from None


def _trust(context: ssl.SSLContext, roots: TrustedRoots) -> None:
    try:
        with _file(roots.roots.rstrip() + b"\n" + roots.revoked) as path:
            context.load_verify_locations(path)
    except (ssl.SSLError, OSError):
        raise TlsError(f"{roots.name} has no certificates that could be believed") from None
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if roots.revoked:
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN

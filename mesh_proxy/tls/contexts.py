"""TLS contexts, made of configuration and secrets (Envoy ``transport_sockets.tls.v3``).

OpenSSL reads a certificate's key from files only: they are given a file in memory that nobody else has, so that no key ever
stands on a disk.
"""

import base64
import hashlib
import os
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from mesh_api.config import (
    CertificateValidation,
    CommonTls,
    DataSource,
    DownstreamTls,
    Secret,
    StringMatch,
    StringMatchKind,
    TlsCertificate,
    TlsParameters,
    TrustedRoots,
    UpstreamTls,
)
from mesh_api.config.proxy_config import secrets_of
from mesh_proxy.routing.matchers import string_test
from mesh_proxy.tls import openssl
from mesh_proxy.tls.peer import NOBODY, Peer, dns_name_fits
from mesh_proxy.tls.sessions import Sessions

_VERSIONS: Final = {
    "": None,
    "TLS_AUTO": None,
    "TLSv1_0": ssl.TLSVersion.TLSv1,
    "TLSv1_1": ssl.TLSVersion.TLSv1_1,
    "TLSv1_2": ssl.TLSVersion.TLSv1_2,
    "TLSv1_3": ssl.TLSVersion.TLSv1_3,
}
_HEX_DIGITS: Final = 64
_LONGEST_NAME: Final = 255
_MOST_PEERS: Final = 256
NOT_SUPPLIED: Final = "TLS_error:_Secret_is_not_supplied_by_SDS"


class TlsError(ValueError):
    """A setting or a secret that no context can be made of. The message names it and has nothing secret in it."""


class Tls:
    """One end's settings, ready: makes the TLS sides of sockets, and judges who is at the other end.

    ``waiting`` names the secrets that are not there yet: until they are, connections are refused.
    """

    __slots__ = (
        "_by_host", "_checks_own", "_context", "_fingerprints", "_names", "_peers", "_server", "_vouched", "own", "sessions",
        "sni", "waiting",
    )  # fmt: skip

    def __init__(self, config: DownstreamTls | UpstreamTls, secrets: Mapping[str, Secret]) -> None:
        """Raises :class:`TlsError`."""
        self._server = isinstance(config, DownstreamTls)
        self.sni = config.sni if isinstance(config, UpstreamTls) else ""
        self._by_host = isinstance(config, UpstreamTls) and config.auto_host_sni
        self._checks_own = isinstance(config, UpstreamTls) and config.auto_sni_san_validation
        self.waiting = tuple(name for name in named(config.common) if name not in secrets)
        self._names: tuple[Callable[[Peer], bool], ...] = ()
        self._fingerprints: Fingerprints | None = None
        self._vouched = config.common.validation is not None
        self._context: ssl.SSLContext | None = None
        self.own: Peer | None = None
        """Who we are to the other end; ``None``: we show no certificate."""
        self._peers: dict[bytes, Peer] = {}
        """Those who were here already, by their certificates."""
        self.sessions: Sessions | None = None
        """What connections to hosts take up again, where they may."""
        if isinstance(config, UpstreamTls) and config.max_session_keys:
            self.sessions = Sessions()
        if self.waiting:
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if self._server else ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False  # names are judged by what the configuration asks for
        context.verify_mode = ssl.CERT_NONE
        _bound(context, config.common.parameters)
        if config.common.alpn:
            context.set_alpn_protocols(list(config.common.alpn))
        for source in config.common.certificates:
            self.own = _show(context, secrets[source.name])
        for each in config.common.tls_certificates:
            self.own = _show(context, TlsCertificate("tls_certificates", _data(each.chain), _data(each.key)))
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
        if validation.accept_untrusted:
            raise TlsError("trust_chain_verification ACCEPT_UNTRUSTED is not supported yet")
        self._fingerprints = Fingerprints.of(validation)
        roots = _roots(validation, secrets)
        _trust(context, roots)
        optional = isinstance(config, DownstreamTls) and not config.require_client_certificate
        context.verify_mode = ssl.CERT_OPTIONAL if optional else ssl.CERT_REQUIRED
        self._names = tuple(map(_name_test, validation.subject_alt_names))

    @property
    def context(self) -> ssl.SSLContext | None:
        """For whoever makes connections by means of the standard library; ``None`` while a secret is missing."""
        return self._context

    @property
    def server(self) -> bool:
        """Whether it is for connections from clients."""
        return self._server

    def name_for(self, wanted: str, host: str) -> str:
        """The name that a connection asks for: what the request wants, else the host's where that is asked for, else its
        own; empty: none."""
        return wanted or (host if self._by_host else "") or self.sni

    def wrap(self, sock: socket.socket, name: str, session: Any = None) -> Any:
        """OpenSSL's side of a connected, non-blocking socket, on whose descriptor it works and which asks for ``name``, where
        ``session`` is taken up; ``None`` while a secret is missing.

        The one private thing of the standard library that a worker rests on: its own public ``SSLSocket`` around this costs a
        connection as much as the rest of what Python does for it.
        """
        context = self._context
        if context is None:
            return None
        return context._wrap_socket(sock, self._server, name or None, session=session)  # type: ignore[attr-defined]

    def peer(self, secured: Any) -> Peer:
        """Who the other end is, after the handshake."""
        certificate: bytes | None = secured.getpeercert(True)
        if not certificate:
            return NOBODY
        found = self._peers.get(certificate)
        if found is None:
            found = Peer(certificate, secured.getpeercert() or _described(certificate))
            if len(self._peers) >= _MOST_PEERS:
                self._peers.clear()
            self._peers[certificate] = found
        return found

    def refusal(self, peer: Peer, name: str = "", subject: str = "") -> str:
        """Why the other end is not the right one, in Envoy's words; empty: it has one of the names, and is one of the
        certificates, that are asked for. ``name`` is what the connection asked for, ``subject`` whom the certificate must be
        for besides (empty: whoever)."""
        if not peer.certificate:
            return ""  # that there must be a certificate, the handshake has seen to
        if subject and not self._vouched:
            return "CERTIFICATE_VERIFY_FAILED"  # a name that nobody vouches for is none (Envoy)
        subject = subject or (name if self._checks_own else "")
        if subject and not peer.is_for(subject):
            return f"verify_SAN_list,_expected_SANs:_[{subject}],_certificate_SANs:_[{peer.listed}]"
        if self._fingerprints is not None and not self._fingerprints.fit(peer.certificate):
            return "verify_cert_failed:_certificate_hash"
        if self._names and not any(test(peer) for test in self._names):
            return f"SAN_matcher,_certificate_SANs_are_[{peer.listed}]"
        return ""


class Fingerprints:
    """Certificates that are known one by one: by their own SHA-256, or by that of their key. One of either is enough (Envoy
    ``verify_certificate_hash``, ``verify_certificate_spki``)."""

    __slots__ = ("_certificates", "_keys")

    def __init__(self, certificates: frozenset[str], keys: frozenset[str]) -> None:
        self._certificates = certificates
        self._keys = keys

    @classmethod
    def of(cls, validation: CertificateValidation) -> "Fingerprints | None":
        """``None``: any certificate will do. Raises :class:`TlsError`."""
        if not validation.hashes and not validation.spki:
            return None
        hashes = frozenset(text.replace(":", "").lower() for text in validation.hashes)
        if any(len(text) != _HEX_DIGITS or set(text) - set("0123456789abcdef") for text in hashes):
            raise TlsError("verify_certificate_hash: a SHA-256 has 64 hexadecimal digits")
        return cls(hashes, frozenset(validation.spki))

    def fit(self, certificate: bytes) -> bool:
        """Whether a certificate (DER) is one of them."""
        if self._certificates and hashlib.sha256(certificate).hexdigest() in self._certificates:
            return True
        return bool(self._keys) and fingerprint_of_key(certificate) in self._keys


def is_sayable(name: str) -> bool:
    """Whether a name can be asked for: one of DNS, in ASCII."""
    if not name or name.startswith(".") or not name.isascii():
        return False
    try:
        return len(name.encode("idna")) <= _LONGEST_NAME
    except UnicodeError:
        return False


def _name_test(match: StringMatch) -> Callable[[Peer], bool]:
    """Of one of the names that a certificate may have. One that is written out is matched as names of DNS are, which may
    have stars (Envoy)."""
    test = string_test(match)
    exact = match.value.encode() if match.kind is StringMatchKind.EXACT and not match.ignore_case else b""

    def fits(peer: Peer) -> bool:
        if exact:
            return exact in peer.uris or any(dns_name_fits(exact, pattern) for pattern in peer.dns)
        return any(map(test, peer.names))

    return fits


def named(common: CommonTls) -> tuple[str, ...]:
    """Names of the secrets that are asked for."""
    return tuple(source.name for source in secrets_of(common))


def check(secret: Secret) -> None:
    """Whether a context can be made of it. Raises :class:`TlsError`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if isinstance(secret, TlsCertificate):
        _show(context, secret)
    else:
        _trust(context, secret)


def fingerprint_of_key(certificate: bytes) -> str:
    """The SHA-256 of the key of a certificate (DER), in base64: what pins are written in (RFC 7469, 2.4)."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = x509.load_der_x509_certificate(certificate).public_key()
    digest = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    return base64.b64encode(digest).decode()


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
    openssl.prefer(context)
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION


def _show(context: ssl.SSLContext, secret: Secret) -> Peer:
    """Has others be shown a certificate; returns who it says we are."""
    if not isinstance(secret, TlsCertificate):
        raise TlsError(f"the secret {secret.name} is no certificate")
    try:
        with _file(secret.chain.rstrip() + b"\n" + secret.key) as path:
            context.load_cert_chain(path)
            return Peer(ssl.PEM_cert_to_DER_cert(_first(secret.chain)), _decode(path))
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        raise TlsError(f"the secret {secret.name} is no certificate with its key: {reason}") from None


_CERTIFICATE_END: Final = b"-----END CERTIFICATE-----"


def _first(chain: bytes) -> str:
    """The first certificate of a chain: the one that is shown."""
    begin = max(chain.find(b"-----BEGIN CERTIFICATE-----"), 0)
    return (chain[begin:].partition(_CERTIFICATE_END)[0] + _CERTIFICATE_END).decode()


def _decode(path: str) -> Mapping[str, Any]:
    """What a certificate in a file says, as the standard library has it of peers. It gives it of files by a private function
    alone; reading certificates with a library would cost each worker 10 MB."""
    decode = getattr(getattr(ssl, "_ssl", None), "_test_decode_cert", None)
    return {} if decode is None else decode(path)


def _described(certificate: bytes) -> Mapping[str, Any]:
    """What a certificate says (DER) that nobody has vouched for, of which OpenSSL by itself tells nothing."""
    try:
        with _file(ssl.DER_cert_to_PEM_cert(certificate).encode()) as path:
            return _decode(path)
    except (ssl.SSLError, OSError):
        return {}


@contextmanager
def _file(content: bytes) -> Iterator[str]:
    """A file in memory, as long as it is needed."""
    descriptor = os.memfd_create("tls", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _roots(validation: CertificateValidation, secrets: Mapping[str, Secret]) -> TrustedRoots:
    revoked = b"" if validation.crl is None else _data(validation.crl)
    if validation.roots is not None:
        secret = secrets[validation.roots.name]
        if not isinstance(secret, TrustedRoots):
            raise TlsError(f"the secret {secret.name} is no set of roots")
        return TrustedRoots(secret.name, secret.roots, secret.revoked + revoked)
    if validation.trusted_ca is None:
        raise TlsError("validation: there is nothing to check certificates with")
    return TrustedRoots(validation.trusted_ca.filename or "trusted_ca", _data(validation.trusted_ca), revoked)


def _data(source: DataSource) -> bytes:
    if not source.filename:
        return source.inline
    try:
        with open(source.filename, "rb") as opened:
            return opened.read()
    except OSError as error:
        raise TlsError(f"{source.filename} cannot be read: {error.strerror}") from None


def _trust(context: ssl.SSLContext, roots: TrustedRoots) -> None:
    try:
        with _file(roots.roots.rstrip() + b"\n" + roots.revoked) as path:
            context.load_verify_locations(path)
    except (ssl.SSLError, OSError):
        raise TlsError(f"{roots.name} has no certificates that could be believed") from None
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if roots.revoked:
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN

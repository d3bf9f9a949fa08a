"""TLS of connections (Envoy ``transport_sockets.tls.v3``): who shows which certificate, and who is believed.

Certificates and trusted roots are secrets: a proxy asks a server of secrets (SDS) for them by name, so no key stands in what
our control plane sends. A bootstrap, or another control plane, may have them in files or in the configuration itself.
"""

from dataclasses import dataclass, field

from mesh_api.config.matchers import StringMatch


@dataclass(frozen=True, slots=True)
class SecretSource:
    """The secret ``name``, from the server behind ``cluster`` (empty: from the stream that carries the configuration).

    ``authority`` is the server's name where it is not the cluster's. ``wait``: whoever needs the secret waits for it without
    end (``initial_fetch_timeout`` 0); otherwise Envoy gives up after its 15 s and refuses connections until it has come.
    ``static``: it is one of the bootstrap's own.
    """

    name: str
    cluster: str = ""
    authority: str = ""
    wait: bool = False
    static: bool = False


@dataclass(frozen=True, slots=True)
class DataSource:
    """A file, or what it would hold."""

    filename: str = ""
    inline: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class CertificateSource:
    """A certificate (with those above it) and its key, said without a name."""

    chain: DataSource
    key: DataSource


@dataclass(frozen=True, slots=True)
class TlsParameters:
    """Bounds: versions as in ``TLSv1_2`` (empty: Envoy's own), ciphers up to TLS 1.2 and curves by OpenSSL's names."""

    minimum_version: str = ""
    maximum_version: str = ""
    cipher_suites: tuple[str, ...] = ()
    ecdh_curves: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CertificateValidation:
    """What the peer's certificate must be: signed by ``roots`` or by those of ``trusted_ca``; and with one of the names, of
    the public keys (``spki``, base64 of SHA-256) and of the ``hashes`` (hex of SHA-256), where any are given.

    ``accept_untrusted``: one that nobody known has signed passes as well. ``crl`` lists what was revoked.
    """

    roots: SecretSource | None = None
    trusted_ca: DataSource | None = None
    subject_alt_names: tuple[StringMatch, ...] = ()
    spki: tuple[str, ...] = ()
    hashes: tuple[str, ...] = ()
    crl: DataSource | None = None
    accept_untrusted: bool = False


@dataclass(frozen=True, slots=True)
class CommonTls:
    """What both ends say. ``validation`` ``None``: whoever the peer is, it is not looked at.

    The certificates to show are ``certificates``, or ``tls_certificates`` where they are said without a name.
    """

    certificates: tuple[SecretSource, ...] = ()
    validation: CertificateValidation | None = None
    alpn: tuple[str, ...] = ()
    parameters: TlsParameters = TlsParameters()
    tls_certificates: tuple[CertificateSource, ...] = ()


@dataclass(frozen=True, slots=True)
class DownstreamTls:
    """Of the side that takes connections; ``require_client_certificate`` ``None``: Envoy's default, no."""

    common: CommonTls = field(default_factory=CommonTls)
    require_client_certificate: bool | None = None


@dataclass(frozen=True, slots=True)
class UpstreamTls:
    """Of the side that connects. ``sni``: the name that it asks for.

    ``auto_host_sni``: that of the endpoint's host name instead; ``auto_sni_san_validation``: and the certificate must be for
    that name. ``max_session_keys``: how many sessions are kept to be taken up again (Envoy's default is 1; 0: none).
    """

    common: CommonTls = field(default_factory=CommonTls)
    sni: str = ""
    auto_host_sni: bool = False
    auto_sni_san_validation: bool = False
    max_session_keys: int = 1


@dataclass(frozen=True, slots=True)
class RawBuffer:
    """No TLS, said in so many words."""


@dataclass(frozen=True, slots=True)
class UpstreamProxyProtocol:
    """Each connection begins with a header of the PROXY protocol that names the client, before ``socket`` has its turn.
    ``version`` is ``V1`` or ``V2``; ``socket`` ``None``: bytes, as nothing else was asked for."""

    version: str = "V1"
    socket: UpstreamTls | RawBuffer | None = None


UpstreamSocket = UpstreamTls | RawBuffer | UpstreamProxyProtocol
"""How connections to a host are made."""


@dataclass(frozen=True, slots=True)
class TransportSocketMatch:
    """The socket for endpoints whose ``envoy.transport_socket_match`` metadata have these pairs; the first match counts."""

    name: str
    match: tuple[tuple[str, str], ...]
    socket: UpstreamSocket

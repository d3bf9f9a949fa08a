"""A certificate authority for tests of TLS: its roots and certificates as secrets of a proxy, and as contexts of OpenSSL."""

import datetime
import ssl
import tempfile
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mesh_api.config.secrets import TlsCertificate, TrustedRoots

DAY = datetime.timedelta(days=1)


class Authority:
    """Signs; what it makes is valid from yesterday until tomorrow."""

    def __init__(self, name: str = "test") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)])
        made = _builder(self._name, self._name, self._key.public_key())
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.pem = made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def roots(self, name: str = "ROOTCA") -> TrustedRoots:
        """Its root as a secret."""
        return TrustedRoots(name, self.pem)

    def certificate(self, *names: str, secret: str = "default", subject: str = "", days: float = 1) -> TlsCertificate:
        """A certificate for names (a URI, an address or a host) as a secret; ``days`` from yesterday on it is valid."""
        key = ec.generate_private_key(ec.SECP256R1())
        called = [x509.NameAttribute(NameOID.COMMON_NAME, subject)] if subject else []
        made = _builder(self._name, x509.Name(called), key.public_key(), days)
        if names:
            made = made.add_extension(x509.SubjectAlternativeName(list(map(_general, names))), critical=not subject)
        chain = made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        encoded = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return TlsCertificate(secret, chain, encoded)

    def client(self, certificate: TlsCertificate | None = None, *protocols: str) -> ssl.SSLContext:
        """A client that believes in it, whatever name it finds."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        return self._context(context, certificate, protocols)

    def server(self, certificate: TlsCertificate, *protocols: str, mutual: bool = False) -> ssl.SSLContext:
        """A server; ``mutual``: that asks for a certificate of its authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.verify_mode = ssl.CERT_REQUIRED if mutual else ssl.CERT_NONE
        return self._context(context, certificate, protocols)

    def _context(
        self, context: ssl.SSLContext, certificate: TlsCertificate | None, protocols: tuple[str, ...]
    ) -> ssl.SSLContext:
        context.load_verify_locations(cadata=self.pem.decode())
        if protocols:
            context.set_alpn_protocols(list(protocols))
        if certificate is not None:
            with tempfile.NamedTemporaryFile() as file:
                file.write(certificate.chain + certificate.key)
                file.flush()
                context.load_cert_chain(file.name)
        return context


def _builder(
    issuer: x509.Name, subject: x509.Name, key: ec.EllipticCurvePublicKey, days: float = 1
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder().issuer_name(issuer).subject_name(subject).public_key(key)
    made = made.serial_number(x509.random_serial_number())
    return made.not_valid_before(now - 2 * DAY).not_valid_after(now + days * DAY)


def _general(name: str) -> x509.GeneralName:
    if "://" in name:
        return x509.UniformResourceIdentifier(name)
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)

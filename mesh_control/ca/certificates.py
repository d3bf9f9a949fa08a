"""What the authority signs: roots, workloads' certificates and the control plane's own. Pure: keys and time are arguments.

The forms are those of Istio's CA (``security/pkg/pki/util/generate_cert.go``) and of SPIFFE's X509-SVID: a workload has an
empty subject and one critical name, its SPIFFE id; nothing of a request is copied but its key.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mesh_api.identity import SpiffeId
from mesh_control.ca import pem
from mesh_control.ca.pem import PrivateKey, PublicKey

CLOCK_SKEW = 120.0
"""Seconds by which a certificate begins in the past, for clocks that are behind (Istio's ``ClockSkewGracePeriod``)."""
ROOT_SECONDS = 3650 * 86400.0


class SigningError(RuntimeError):
    """The authority cannot sign now; the message says why."""


@dataclass(frozen=True, slots=True)
class Signer:
    """What signs. ``chain`` leads from what it signs up to, and without, the ``roots``: empty where a root signs itself.

    ``roots`` are what peers must trust.
    """

    certificate: x509.Certificate
    key: PrivateKey
    chain: tuple[x509.Certificate, ...]
    roots: tuple[x509.Certificate, ...]

    @property
    def name(self) -> str:
        """Tells it from every other."""
        return pem.fingerprint(self.certificate)

    @property
    def expires(self) -> float:
        """When what it signed is no longer valid, whatever stands in it: seconds since 1970."""
        return min(pem.expires(c) for c in (self.certificate, *self.chain))


def make_root(trust_domain: str, key: PrivateKey, now: float, seconds: float = ROOT_SECONDS) -> Signer:
    """A root that is valid for ``seconds``. Its name tells it from the one before, of which the subject's rest is equal."""
    public = key.public_key()
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    organization = trust_domain[:64]  # the longest that X.520 allows
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Root CA {identifier.digest.hex()[:12]}"),
        ]
    )
    made = (
        _builder(public, name, now, now + seconds)
        .subject_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, _hash(key))
    )
    return Signer(made, key, (), (made,))


def sign_workload(
    signer: Signer, key: PublicKey, identity: SpiffeId, now: float, seconds: float
) -> tuple[x509.Certificate, ...]:
    """A workload's certificate for ``seconds``, or for as long as its issuer has left; its chain follows it.

    Raises :class:`SigningError` when the issuer has expired.
    """
    names = [x509.UniformResourceIdentifier(str(identity))]
    return _leaf(signer, key, names, now, seconds, (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH))


def sign_server(
    signer: Signer, key: PublicKey, names: Sequence[str], now: float, seconds: float
) -> tuple[x509.Certificate, ...]:
    """The control plane's own certificate, for DNS names and addresses: good for serving, and for no identity.

    Raises :class:`SigningError` when the issuer has expired.
    """
    return _leaf(signer, key, [_host(name) for name in names], now, seconds, (ExtendedKeyUsageOID.SERVER_AUTH,))


def _leaf(
    signer: Signer,
    key: PublicKey,
    names: Sequence[x509.GeneralName],
    now: float,
    seconds: float,
    purposes: Sequence[x509.ObjectIdentifier],
) -> tuple[x509.Certificate, ...]:
    if now >= signer.expires:
        raise SigningError(f"the signing certificate has expired at {pem.instant(signer.expires).isoformat()}")
    until = min(now + seconds, signer.expires)
    made = (
        _builder(key, signer.certificate.subject, now, until)
        .subject_name(x509.Name([]))
        # RFC 5280, 4.2.1.6: critical where the subject is empty.
        .add_extension(x509.SubjectAlternativeName(names), critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        # RFC 8813: keys on curves encipher no other keys.
        .add_extension(
            _usage(digital_signature=True, key_encipherment=isinstance(key, rsa.RSAPublicKey)), critical=True
        )
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(_issuer_identifier(signer.certificate), critical=False)
        .sign(signer.key, _hash(signer.key))
    )
    return (made, *signer.chain)


def _builder(key: PublicKey, issuer: x509.Name, now: float, until: float) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(pem.instant(now - CLOCK_SKEW))
        .not_valid_after(pem.instant(until))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(**wanted: bool) -> x509.KeyUsage:
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: wanted.get(name, False) for name in names})


def _issuer_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        found = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:  # of a given one
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(pem.checked(issuer.public_key()))
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(found)


def _hash(key: PrivateKey) -> hashes.SHA256 | hashes.SHA384:
    """As long as the key is strong."""
    return hashes.SHA384() if not isinstance(key, rsa.RSAPrivateKey) and key.key_size == 384 else hashes.SHA256()


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)

"""Keys and certificates as they stand in files: PEM in, checked objects out, and back."""

from collections.abc import Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

MIN_RSA_BITS, MAX_RSA_BITS = 2048, 8192
"""Shorter ones are weak (Istio's ``MinimumRsaKeySize``); what longer ones cost is paid by whoever checks them."""
UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What ``cryptography`` raises over bytes of anybody's making."""


class PemError(ValueError):
    """A text that holds no such key or certificate; the message says what is wrong."""


def new_key() -> ec.EllipticCurvePrivateKey:
    """A fresh key on P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def read_certificates(text: str | bytes) -> tuple[x509.Certificate, ...]:
    """All certificates of a text, at least one. Raises :class:`PemError`."""
    try:
        return tuple(x509.load_pem_x509_certificates(_bytes(text)))
    except ValueError as error:
        raise PemError(f"no certificates in PEM: {error}") from None


def read_key(text: str | bytes) -> PrivateKey:
    """A private key without a password. Raises :class:`PemError`."""
    try:
        key = serialization.load_pem_private_key(_bytes(text), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Their messages may quote what they were given.
        raise PemError("no private key in PEM without a password") from None
    if not isinstance(key, PrivateKey):
        raise PemError("the private key is neither ECDSA nor RSA")
    checked(key.public_key())
    return key


def checked(key: object) -> PublicKey:
    """The public key, when it is of a kind and size that every peer takes. Raises :class:`PemError`."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1):
            raise PemError(f"the key is on the curve {key.curve.name}; allowed are P-256 and P-384")
        return key
    if isinstance(key, rsa.RSAPublicKey):
        if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
            raise PemError(f"the RSA key has {key.key_size} bits; allowed are {MIN_RSA_BITS} to {MAX_RSA_BITS}")
        return key
    raise PemError("the key is neither ECDSA nor RSA")


def write_key(key: PrivateKey) -> bytes:
    """PKCS #8, without a password: the file's mode protects it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def write_certificates(certificates: Sequence[x509.Certificate]) -> str:
    """One after another."""
    return "".join(c.public_bytes(serialization.Encoding.PEM).decode() for c in certificates)


def public_bytes(key: PublicKey) -> bytes:
    """The key's SubjectPublicKeyInfo: equal for equal keys."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the certificate, hexadecimal."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def begins(certificate: x509.Certificate) -> float:
    """When it begins to be valid, in seconds since 1970."""
    return certificate.not_valid_before_utc.timestamp()


def expires(certificate: x509.Certificate) -> float:
    """When it stops being valid, in seconds since 1970."""
    return certificate.not_valid_after_utc.timestamp()


def instant(seconds: float) -> datetime:
    """A time in certificates, which know whole seconds."""
    return datetime.fromtimestamp(int(seconds), UTC)


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text

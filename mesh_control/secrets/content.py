"""What is in a Secret or ConfigMap as a secret for proxies (istiod's ``pilot/pkg/credentials/kube``). Pure.

What Envoy could not use is not sent: it would refuse whatever comes with it.
"""

from collections.abc import Mapping

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from mesh_api.xds.secrets import SecretBytes, encode_certificate, encode_roots
from mesh_control.secrets.references import Reference, SecretError

Content = Mapping[str, bytes]
"""By key, the values of an object."""
_PAIRS = (("cert", "key", ""), ("tls.crt", "tls.key", "tls.ocsp-staple"))
_ROOTS = (("cacert", "crl"), ("ca.crt", "ca.crl"))
"""Under which keys a certificate, its key and its staple stand, and roots with their list of revoked certificates: the first
that is there counts (Istio)."""


def encoded(name: str, reference: Reference, content: Content) -> SecretBytes:
    """The message of that name. Raises :class:`SecretError`."""
    return _roots(name, content) if reference.roots else _certificate(name, content)


def _certificate(name: str, content: Content) -> SecretBytes:
    found = next((keys for keys in _PAIRS if content.get(keys[0]) and content.get(keys[1])), None)
    if found is None:
        raise SecretError("it has neither tls.crt and tls.key nor cert and key")
    chain, key = content[found[0]], content[found[1]]
    try:
        shown = x509.load_pem_x509_certificates(chain)[0].public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise SecretError(f"{found[0]} holds no certificate in PEM") from None
    try:
        own = load_pem_private_key(key, None).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SecretError(f"{found[1]} holds no key in PEM without a password") from None
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if shown.public_bytes(*form) != own.public_bytes(*form):
        raise SecretError(f"{found[1]} is not the key of the certificate in {found[0]}")
    return encode_certificate(name, chain, key, content.get(found[2], b""))


def _roots(name: str, content: Content) -> SecretBytes:
    found = next((keys for keys in _ROOTS if content.get(keys[0])), None)
    if found is None:
        raise SecretError("it has neither ca.crt nor cacert")
    try:
        x509.load_pem_x509_certificates(content[found[0]])
    except (ValueError, UnsupportedAlgorithm):
        raise SecretError(f"{found[0]} holds no certificate in PEM") from None
    return encode_roots(name, content[found[0]], content.get(found[1], b""))

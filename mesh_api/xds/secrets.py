"""Secrets as Envoy's messages (SDS): what is asked for by the name that a :class:`~mesh_api.config.SecretSource` has."""

from typing import Any

from envoy.extensions.transport_sockets.tls.v3 import secret_pb2


class SecretBytes(bytes):
    """A serialized secret. It has a key in it, so it is not shown where messages are."""

    def __repr__(self) -> str:
        return "<secret>"

    __str__ = __repr__


def encode_certificate(name: str, chain: bytes, key: bytes, staple: bytes = b"") -> SecretBytes:
    """A certificate with those above it, its key (PEM), and what its authority says of it (OCSP, DER) where there is that."""
    secret = secret_pb2.Secret(name=name)
    secret.tls_certificate.certificate_chain.inline_bytes = chain
    secret.tls_certificate.private_key.inline_bytes = key
    if staple:
        secret.tls_certificate.ocsp_staple.inline_bytes = staple
    return _serialized(secret)


def encode_roots(name: str, roots: bytes, revoked: bytes = b"") -> SecretBytes:
    """Roots that the other end's certificate is checked with, and the list of revoked certificates (PEM) if there is one."""
    secret = secret_pb2.Secret(name=name)
    secret.validation_context.trusted_ca.inline_bytes = roots
    if revoked:
        secret.validation_context.crl.inline_bytes = revoked
    return _serialized(secret)


def _serialized(secret: Any) -> SecretBytes:
    return SecretBytes(secret.SerializeToString(deterministic=True))

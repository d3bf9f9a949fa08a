"""Secrets as Envoy's messages (SDS): what is asked for by the name that a :class:`~mesh_api.config.SecretSource` has."""

from typing import Any

from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from google.protobuf.message import DecodeError as ProtobufError

from mesh_api.config.secrets import Secret, TlsCertificate, TrustedRoots
from mesh_api.xds.errors import DecodeError
from mesh_api.xds.fields import Fields


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


def secret_from_bytes(data: bytes) -> Secret:
    """From what a server of secrets has sent. Raises :class:`~mesh_api.xds.errors.DecodeError`."""
    message = secret_pb2.Secret()
    try:
        message.ParseFromString(data)
    except ProtobufError:
        raise DecodeError("a secret that cannot be read") from None
    return decode_secret(Fields(message, f"secret {message.name}"))


def decode_secret(fields: Fields) -> Secret:
    """From ``Secret``. What it is made of must stand in it: its files would be the sender's. Raises
    :class:`~mesh_api.xds.errors.DecodeError`, which has nothing secret in it."""
    with fields as f:
        name, kind = f.text("name"), f.oneof("type")
        if kind == "tls_certificate":
            with f.child(kind) as c:
                chain, key = _inline(c, "certificate_chain"), _inline(c, "private_key")
                staple = _inline(c, "ocsp_staple") if c.has("ocsp_staple") else b""
                return TlsCertificate(name, chain, key, staple)
        if kind != "validation_context":
            raise f.error("", f"{kind or 'nothing'} is not supported: expected tls_certificate or validation_context")
        with f.child(kind) as c:
            return TrustedRoots(name, _inline(c, "trusted_ca"), _inline(c, "crl") if c.has("crl") else b"")


def _inline(fields: Fields, name: str) -> bytes:
    with fields.child(name) as f:
        kind = f.oneof("specifier")
        if kind == "inline_string":
            return f.text(kind).encode()
        if kind == "inline_bytes":
            return bytes(f.take(kind))
        raise f.error("", f"{kind or 'a missing source'} is not supported: use inline_bytes or inline_string")


def _serialized(secret: Any) -> SecretBytes:
    return SecretBytes(secret.SerializeToString(deterministic=True))

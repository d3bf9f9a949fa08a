"""The service that signs certificates, on the wire: Istio's ``IstioCertificateService`` (api/security/v1alpha1/ca.proto).

No package on PyPI has its messages, so their descriptors are made here, in a pool of their own: a process that has the real
module imported as well is not disturbed. Nobody else sees the messages.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message, message_factory, struct_pb2

SERVICE = "istio.v1.auth.IstioCertificateService"
METHOD_NAME = "CreateCertificate"
METHOD = f"/{SERVICE}/{METHOD_NAME}"

IMPERSONATED = "ImpersonatedIdentity"
"""Key of the metadata by which ztunnel asks for the identity of another (Istio's ``pkg/security``)."""

_Field = descriptor_pb2.FieldDescriptorProto
FIELDS: Mapping[str, tuple[tuple[str, int, int, int, str], ...]] = {
    "IstioCertificateRequest": (
        ("csr", 1, _Field.LABEL_OPTIONAL, _Field.TYPE_STRING, ""),
        ("validity_duration", 3, _Field.LABEL_OPTIONAL, _Field.TYPE_INT64, ""),
        ("metadata", 4, _Field.LABEL_OPTIONAL, _Field.TYPE_MESSAGE, ".google.protobuf.Struct"),
    ),
    "IstioCertificateResponse": (("cert_chain", 1, _Field.LABEL_REPEATED, _Field.TYPE_STRING, ""),),
}
"""Message to its fields: name, number, label, type, and the message that a field of messages has."""


class MessageError(ValueError):
    """Bytes that are no message of the service."""


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """``csr`` is PEM; ``seconds`` the lifetime that is asked for, 0 for the authority's; ``metadata`` JSON values."""

    csr: str
    seconds: int = 0
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def to_bytes(self) -> bytes:
        """On the wire."""
        made = _REQUEST(csr=self.csr, validity_duration=self.seconds)
        if self.metadata:
            made.metadata.update(self.metadata)
        return bytes(made.SerializeToString())

    @classmethod
    def from_bytes(cls, data: bytes) -> "CertificateRequest":
        """Raises :class:`MessageError`."""
        found = _parsed(_REQUEST, data)
        try:
            metadata = json_format.MessageToDict(found.metadata) if found.HasField("metadata") else {}
        except (ValueError, json_format.Error) as error:  # a Struct may hold numbers that JSON has not
            raise MessageError(f"metadata: {error}") from None
        return cls(found.csr, found.validity_duration, metadata)


@dataclass(frozen=True, slots=True)
class CertificateResponse:
    """``chain``: PEM, the certificate first, then its issuers one by one, and last all trusted roots in one text."""

    chain: tuple[str, ...]

    def to_bytes(self) -> bytes:
        """On the wire."""
        return bytes(_RESPONSE(cert_chain=self.chain).SerializeToString())

    @classmethod
    def from_bytes(cls, data: bytes) -> "CertificateResponse":
        """Raises :class:`MessageError`."""
        return cls(tuple(_parsed(_RESPONSE, data).cert_chain))


def _parsed(kind: Any, data: bytes) -> Any:
    try:
        return kind.FromString(data)
    except message.DecodeError as error:
        raise MessageError(str(error)) from None


def _messages() -> dict[str, Any]:
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(struct_pb2.DESCRIPTOR.serialized_pb)
    file = descriptor_pb2.FileDescriptorProto(
        name="security/v1alpha1/ca.proto",
        package="istio.v1.auth",
        syntax="proto3",
        dependency=[struct_pb2.DESCRIPTOR.name],
    )
    for name, fields in FIELDS.items():
        made = file.message_type.add(name=name)
        for field_name, number, label, kind, type_name in fields:
            made.field.add(name=field_name, number=number, label=label, type=kind, type_name=type_name or None)
    pool.AddSerializedFile(file.SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{file.package}.{name}")) for name in FIELDS
    }


_MESSAGES = _messages()
_REQUEST, _RESPONSE = _MESSAGES["IstioCertificateRequest"], _MESSAGES["IstioCertificateResponse"]

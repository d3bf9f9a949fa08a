"""A server of secrets (SDS) for a real Envoy that stands alone: a root and a certificate, made when it starts."""

import contextlib
import datetime
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2

from tests.support.envoy_bootstrap import grpc_cluster

SERVICE = "envoy.service.secret.v3.SecretDiscoveryService"
ROOTS = "ROOTCA"
HOUR = datetime.timedelta(hours=1)


class Identity:
    """A root of its own, a leaf that it signed for a SPIFFE name, and an empty list of what it revoked, as PEM."""

    def __init__(self, spiffe: str) -> None:
        now = datetime.datetime.now(datetime.UTC)
        root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "test")])
        root = _builder(name, name, root_key.public_key())
        root = root.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.roots = root.sign(root_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        leaf = _builder(name, x509.Name([]), key.public_key()).add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(spiffe)]), critical=True
        )
        self.chain = leaf.sign(root_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        revoked = x509.CertificateRevocationListBuilder().issuer_name(name).last_update(now).next_update(now + HOUR)
        self.revoked = revoked.sign(root_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        self.key = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def _builder(issuer: x509.Name, subject: x509.Name, key: Any) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder().issuer_name(issuer).subject_name(subject).public_key(key)
    return made.serial_number(x509.random_serial_number()).not_valid_before(now - HOUR).not_valid_after(now + HOUR)


@contextlib.contextmanager
def secrets(identity: Identity) -> Iterator[int]:
    """Serves them until the end of the block; the port."""
    server = grpc.server(ThreadPoolExecutor(16))

    def answer(requests: Iterator[Any], _context: Any) -> Iterator[Any]:
        for request in requests:
            if not request.response_nonce:
                yield discovery_pb2.DiscoveryResponse(
                    version_info="1",
                    nonce="1",
                    type_url=request.type_url,
                    resources=[_packed(_secret(identity, name)) for name in request.resource_names],
                )

    handler = grpc.stream_stream_rpc_method_handler(
        answer,
        request_deserializer=discovery_pb2.DiscoveryRequest.FromString,
        response_serializer=discovery_pb2.DiscoveryResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"StreamSecrets": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(0).wait(10)


def _packed(message: Any) -> Any:
    found = any_pb2.Any()
    found.Pack(message)
    return found


def _secret(identity: Identity, name: str) -> Any:
    secret = secret_pb2.Secret(name=name)
    if name.endswith((ROOTS, "-cacert")) or name.startswith("file-root:"):
        secret.validation_context.trusted_ca.inline_bytes = identity.roots
    else:
        secret.tls_certificate.certificate_chain.inline_bytes = identity.chain
        secret.tls_certificate.private_key.inline_bytes = identity.key
    return secret


def cluster(port: int) -> dict[str, Any]:
    """The cluster of a bootstrap behind which the server is."""
    return grpc_cluster("sds-grpc", port)

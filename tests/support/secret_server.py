"""A server of secrets (SDS) for a real Envoy that stands alone: a root and a certificate, which may change meanwhile."""

import contextlib
import datetime
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

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


class Issued(Protocol):
    """What a proxy shows and believes in, as PEM."""

    roots: bytes
    chain: bytes
    key: bytes


class Desk:
    """What is served, and to whom it is told when it changes."""

    def __init__(self, issued: Issued) -> None:
        self._changed = threading.Condition()
        self._issued, self._version = issued, 1
        self._closed = False

    def replace(self, issued: Issued) -> None:
        """From now on this; every open stream is told."""
        with self._changed:
            self._issued, self._version = issued, self._version + 1
            self._changed.notify_all()

    def close(self) -> None:
        """End every stream."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def stream(self, requests: Iterator[Any], _context: Any) -> Iterator[Any]:
        """Answer the first request of a stream, and again at each change. What it asks for after that is the same."""
        first, told = next(requests, None), 0
        while first is not None:
            with self._changed:
                self._changed.wait_for(lambda told=told: self._closed or self._version != told)
                if self._closed:
                    return
                issued, told = self._issued, self._version
            yield discovery_pb2.DiscoveryResponse(
                version_info=str(told),
                nonce=str(told),
                type_url=first.type_url,
                resources=[_packed(_secret(issued, name)) for name in first.resource_names],
            )


@contextlib.contextmanager
def serving(desk: Desk) -> Iterator[int]:
    """Serves what is on the desk until the end of the block; the port."""
    server = grpc.server(ThreadPoolExecutor(64))  # each stream keeps one: a proxy opens one for each secret
    handler = grpc.stream_stream_rpc_method_handler(
        desk.stream,
        request_deserializer=discovery_pb2.DiscoveryRequest.FromString,
        response_serializer=discovery_pb2.DiscoveryResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"StreamSecrets": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        desk.close()
        server.stop(0).wait(10)


@contextlib.contextmanager
def secrets(issued: Issued) -> Iterator[int]:
    """Serves these, which do not change, until the end of the block; the port."""
    with serving(Desk(issued)) as port:
        yield port


def _packed(message: Any) -> Any:
    found = any_pb2.Any()
    found.Pack(message)
    return found


def _secret(issued: Issued, name: str) -> Any:
    secret = secret_pb2.Secret(name=name)
    if name.startswith("file-cert:"):  # files that an agent beside Envoy reads
        chain, _, key = name.removeprefix("file-cert:").partition("~")
        if Path(chain).exists():
            secret.tls_certificate.certificate_chain.inline_bytes = Path(chain).read_bytes()
            secret.tls_certificate.private_key.inline_bytes = Path(key).read_bytes()
            return secret
    if name.endswith((ROOTS, "-cacert")) or name.startswith("file-root:"):
        secret.validation_context.trusted_ca.inline_bytes = issued.roots
    else:
        secret.tls_certificate.certificate_chain.inline_bytes = issued.chain
        secret.tls_certificate.private_key.inline_bytes = issued.key
    return secret


def cluster(port: int) -> dict[str, Any]:
    """The cluster of a bootstrap behind which the server is."""
    return grpc_cluster("sds-grpc", port)

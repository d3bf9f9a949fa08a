"""Gateway: ports that proxies at the edge of the mesh open, and for which hosts."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from mesh_policy.base import Flag, Labels, Model, Policy, Port
from mesh_policy.hosts import check_host

PROTOCOLS = ("HTTP", "HTTP2", "HTTPS", "GRPC", "GRPC-WEB", "MONGO", "TCP", "TLS", "MYSQL", "REDIS", "UDP")
Version = Literal["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"]


class ServerPort(Model):
    """A port; its protocol says what is spoken on it."""

    number: Port
    protocol: str
    name: str
    target_port: Port | None = None

    @field_validator("protocol")
    @classmethod
    def _known(cls, value: str) -> str:
        if value.upper() not in PROTOCOLS:
            raise ValueError(f"protocol {value!r}: allowed are {', '.join(PROTOCOLS)}")
        return value


class TlsCertificate(Model):
    """Files of one certificate."""

    server_certificate: str | None = None
    private_key: str | None = None
    ca_certificates: str | None = None


class ServerTls(Model):
    """TLS of a server."""

    https_redirect: Flag | None = None
    mode: Literal["PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"] | None = (
        None
    )
    server_certificate: str | None = None
    private_key: str | None = None
    ca_certificates: str | None = None
    ca_crl: str | None = None
    credential_name: str | None = None
    credential_names: tuple[str, ...] | None = None
    ca_cert_credential_name: str | None = None
    tls_certificates: tuple[TlsCertificate, ...] | None = None
    subject_alt_names: tuple[str, ...] | None = None
    verify_certificate_spki: tuple[str, ...] | None = None
    verify_certificate_hash: tuple[str, ...] | None = None
    min_protocol_version: Version | None = None
    max_protocol_version: Version | None = None
    cipher_suites: tuple[str, ...] | None = None
    insecure_skip_verify: Flag | None = None

    @model_validator(mode="after")
    def _certificates(self) -> Self:
        given = self.credential_name or self.credential_names or self.tls_certificates
        files = self.server_certificate and self.private_key
        if self.mode in ("SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL") and not (given or files):
            raise ValueError(f"{self.mode} needs serverCertificate and privateKey, or credentialName")
        if self.mode == "MUTUAL" and not given and not self.ca_certificates:
            raise ValueError("MUTUAL needs caCertificates, or credentialName")
        return self


class Server(Model):
    """One port of the gateway and the hosts served there (``NAMESPACE/HOST`` restricts the namespace)."""

    port: ServerPort
    hosts: Annotated[tuple[str, ...], Field(min_length=1)]
    bind: str | None = None
    tls: ServerTls | None = None
    default_endpoint: str | None = None
    name: str | None = None

    @field_validator("hosts")
    @classmethod
    def _valid(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for host in value:
            check_host(host.rpartition("/")[2], address=False)
        return value

    @model_validator(mode="after")
    def _tls_fits(self) -> Self:
        secure = self.port.protocol.upper() in ("HTTPS", "TLS")
        if secure and (self.tls is None or self.tls.mode is None):
            raise ValueError(f"port {self.port.number} is {self.port.protocol} and needs tls.mode")
        if not secure and self.tls is not None and self.tls.mode not in (None, "ISTIO_MUTUAL"):
            raise ValueError(f"port {self.port.number} is {self.port.protocol}; tls.mode goes with HTTPS or TLS")
        return self


class GatewaySpec(Model):
    """Servers of the proxies that carry the labels of ``selector``."""

    selector: Labels | None = None
    servers: Annotated[tuple[Server, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _unique(self) -> Self:
        names = [server.port.name for server in self.servers]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"servers: the port name {name!r} stands twice")
        return self


class Gateway(Policy):
    """See :class:`GatewaySpec`."""

    KIND: ClassVar[str] = "Gateway"
    kind: Literal["Gateway"] = "Gateway"
    spec: GatewaySpec

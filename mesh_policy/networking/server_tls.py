"""TLS that a proxy speaks to clients: at a gateway, or before a workload (Sidecar)."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mesh_policy.base import Flag, Model

Version = Literal["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"]
TERMINATED = ("SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL")
"""Modes in which the proxy shows a certificate that the policy names."""
PASSED_THROUGH = (None, "PASSTHROUGH", "AUTO_PASSTHROUGH")
"""Modes in which the proxy only looks at the name that is asked for; unset is the first of them."""


class TlsCertificate(Model):
    """Files of one certificate."""

    server_certificate: str | None = None
    """File of the certificate."""
    private_key: str | None = None
    """File of its key."""
    ca_certificates: str | None = None
    """File of the authorities that clients are checked with."""


class ServerTls(Model):
    """TLS of a server. The certificate comes from one place: files, a secret, several secrets, or several files."""

    https_redirect: Flag | None = None
    """Whether requests without TLS are redirected to HTTPS; for servers that speak HTTP."""
    mode: Literal["PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"] | None = (
        None
    )
    """PASSTHROUGH (default) leaves TLS to the destination that the name (SNI) chooses; SIMPLE, MUTUAL (clients must show a
    certificate) and OPTIONAL_MUTUAL end it here; ISTIO_MUTUAL takes the mesh's certificates."""
    server_certificate: str | None = None
    """File of the certificate."""
    private_key: str | None = None
    """File of its key."""
    ca_certificates: str | None = None
    """File of the authorities that clients are checked with; for MUTUAL."""
    ca_crl: str | None = None
    """File of revoked certificates of clients."""
    credential_name: str | None = None
    """Secret with the above, in the gateway's namespace."""
    credential_names: Annotated[tuple[str, ...], Field(min_length=1, max_length=2)] | None = None
    """Two secrets, for RSA and ECDSA."""
    ca_cert_credential_name: str | None = None
    """Secret with the authorities, where they lie apart."""
    tls_certificates: Annotated[tuple[TlsCertificate, ...], Field(min_length=1, max_length=2)] | None = None
    """Two certificates as files, for RSA and ECDSA."""
    subject_alt_names: tuple[str, ...] | None = None
    """Names of which a client's certificate must carry one."""
    verify_certificate_spki: tuple[str, ...] | None = None
    """Keys (SHA-256 in base64) of which a client's certificate must have one."""
    verify_certificate_hash: tuple[str, ...] | None = None
    """Hashes (SHA-256 in hexadecimal) of which a client's certificate must have one."""
    min_protocol_version: Version | None = None
    """Oldest version; default TLS 1.2."""
    max_protocol_version: Version | None = None
    """Newest version; default TLS 1.3."""
    cipher_suites: tuple[str, ...] | None = None
    """Ciphers for TLS 1.2 and older; Istio warns of those it does not know, and leaves them out."""
    insecure_skip_verify: Flag | None = None
    """Whether clients' certificates are taken unchecked."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        named = {
            "credentialName": self.credential_name or (None if self.credential_names is None else self.credential_name),
            "credentialNames": self.credential_names,
            "tlsCertificates": self.tls_certificates,
        }
        given = [name for name, value in named.items() if value is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} exclude each other; keep one")
        sources = [name for name, value in named.items() if value]
        if self.mode != "ISTIO_MUTUAL" and sources and self.server_certificate and self.private_key:
            raise ValueError(f"{sources[0]} and serverCertificate with privateKey exclude each other; keep one")
        return self

    @model_validator(mode="after")
    def _complete(self) -> Self:
        by_secret = self.credential_name or self.credential_names
        if self.mode == "ISTIO_MUTUAL":
            if by_secret or self.tls_certificates or self.has_files:
                raise ValueError("ISTIO_MUTUAL takes its certificates from the mesh; remove the ones given")
            return self
        if self.mode in TERMINATED and by_secret:
            return self
        if self.mode in TERMINATED:
            self._files()
        if self.ca_crl and self.credential_name:
            raise ValueError("caCrl goes with files; with credentialName put it into the secret")
        if self.ca_crl and self.mode == "SIMPLE":
            raise ValueError("caCrl says nothing about SIMPLE, which asks clients for no certificate; remove it")
        return self

    def _files(self) -> None:
        if self.mode != "SIMPLE" and not self.ca_certificates:
            raise ValueError(f"{self.mode} needs caCertificates, or credentialName")
        for holder in self.tls_certificates or (self,):
            if not (holder.server_certificate and holder.private_key):
                raise ValueError(f"{self.mode} needs serverCertificate and privateKey, or credentialName")

    @property
    def has_files(self) -> bool:
        """Whether files of a certificate, key or authority are named."""
        return bool(self.server_certificate or self.private_key or self.ca_certificates)

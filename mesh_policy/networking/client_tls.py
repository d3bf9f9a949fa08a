"""TLS that a proxy speaks towards a host."""

from typing import Literal, Self

from pydantic import model_validator

from mesh_policy.base import Flag, Model

CONFIG_MAP = "configmap://"


class ClientTls(Model):
    """TLS towards the host. Files are paths in the proxy's file system."""

    mode: Literal["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"] | None = None
    """DISABLE (default) speaks no TLS, SIMPLE checks the host, MUTUAL shows a certificate too, ISTIO_MUTUAL the mesh's."""
    client_certificate: str | None = None
    """File of the certificate that is shown; required for MUTUAL."""
    private_key: str | None = None
    """File of its key; required for MUTUAL."""
    ca_certificates: str | None = None
    """File of the authorities that the host is checked with; default the system's."""
    ca_crl: str | None = None
    """File of revoked certificates."""
    credential_name: str | None = None
    """Secret with the above, in place of files; ``configmap://NAMESPACE/NAME`` holds authorities alone."""
    subject_alt_names: tuple[str, ...] | None = None
    """Names of which the host's certificate must carry one; default the host."""
    sni: str | None = None
    """Name that is asked for; default that of the request."""
    insecure_skip_verify: Flag | None = None
    """Whether the host's certificate is taken unchecked; excludes what it would be checked with."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        named = bool(self.credential_name) and self.mode in ("SIMPLE", "MUTUAL")
        if named and (self.client_certificate or self.private_key or self.ca_certificates or self.ca_crl):
            raise ValueError("credentialName excludes certificate files; keep one")
        if self.mode == "MUTUAL" and not named and not (self.client_certificate and self.private_key):
            raise ValueError("MUTUAL needs clientCertificate and privateKey, or credentialName")
        if self.insecure_skip_verify and self._checks_something():
            raise ValueError("insecureSkipVerify checks nothing; remove it, or the authorities and names to check with")
        return self

    def _checks_something(self) -> bool:
        if self.mode not in ("SIMPLE", "MUTUAL"):
            return False
        by_secret = self.mode == "SIMPLE" and bool(self.credential_name)  # of MUTUAL's nobody knows what it holds
        return bool(self.ca_certificates or self.subject_alt_names or by_secret)

    def check_namespace(self, namespace: str) -> None:
        """Refuses authorities in a config map of another namespace than the rule's."""
        if not (self.credential_name or "").startswith(CONFIG_MAP):
            return
        owner, slash, name = (self.credential_name or "").removeprefix(CONFIG_MAP).partition("/")
        if not slash or not name.split("/")[0] or owner != namespace:
            raise ValueError(f"tls.credentialName {self.credential_name!r}: write {CONFIG_MAP}{namespace}/NAME")

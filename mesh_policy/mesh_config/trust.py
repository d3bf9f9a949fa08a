"""Whom a mesh trusts: authorities, the TLS of its proxies, and where else its configuration comes from."""

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator

from mesh_policy.base import Flag
from mesh_policy.mesh_config.values import NotNegative, Settings, Text
from mesh_policy.networking.client_tls import ClientTls

CURVES = ("P-224", "P-256", "P-384", "P-521", "X25519", "X25519Kyber768Draft00", "X25519MLKEM768")
"""Those of BoringSSL."""


def _curve(value: str) -> str:
    if value and value not in CURVES:
        raise ValueError(f"{value!r} is no curve of Envoy's; known are {', '.join(CURVES)}")
    return value


def _no_curves(value: tuple[str, ...]) -> tuple[str, ...]:
    if value:
        raise ValueError("curves cannot be chosen between workloads; remove them, or set tlsDefaults.ecdhCurves")
    return value


class TrustAnchor(Settings):
    """A further authority of workloads: its certificate, or where it is to be had."""

    REQUIRED_CHOICES: ClassVar[tuple[tuple[str, ...], ...]] = (("pem", "spiffe_bundle_url"),)

    pem: str | None = None
    """The certificate as PEM."""
    spiffe_bundle_url: str | None = None
    """Where the bundle is fetched (SPIFFE's trust bundle endpoint, by the web's PKI)."""
    cert_signers: tuple[str, ...] = ()
    """Signers of Kubernetes that it is for; unset: all."""
    trust_domains: tuple[str, ...] = ()
    """Trust domains that it is for; unset: all."""


class CertificateAuthority(Settings):
    """An authority that signs in the control plane's place."""

    address: Text
    """``HOST:PORT`` of a server with Istio's CA API."""
    tls_settings: ClientTls | None = None
    """TLS towards it; unset: MUTUAL."""
    request_timeout: NotNegative | None = None
    """How long a signature may take; default 10 s."""
    istiod_side: Flag = False
    """Whether the control plane asks it, rather than each agent. (Istio's page says that the default is true; it is not.)"""


class MutualTls(Settings):
    """TLS between workloads (ISTIO_MUTUAL)."""

    min_protocol_version: Literal["TLS_AUTO", "TLSV1_2", "TLSV1_3"] = "TLS_AUTO"
    """Lowest version that is spoken; TLS_AUTO means 1.2."""
    ecdh_curves: Annotated[tuple[str, ...], AfterValidator(_no_curves)] = ()
    """Cannot be set between workloads; see ``tls_defaults``."""
    cipher_suites: tuple[str, ...] = ()
    """Suites of TLS 1.2 and below that are allowed; unset: Envoy's six with GCM."""


class TlsDefaults(Settings):
    """TLS that is not between workloads: gateways, and hosts outside of the mesh."""

    min_protocol_version: Literal["TLS_AUTO", "TLSV1_2", "TLSV1_3"] = "TLS_AUTO"
    """Lowest version that is spoken; TLS_AUTO means 1.2."""
    ecdh_curves: tuple[Annotated[str, AfterValidator(_curve)], ...] = ()
    """Curves of the key exchange; unset: Envoy's."""
    cipher_suites: tuple[str, ...] = ()
    """Suites of TLS 1.2 and below that are allowed; unset: Envoy's six with GCM."""


class ConfigSource(Settings):
    """Where the control plane gets configuration from."""

    address: Text
    """``xds://HOST:PORT``, ``k8s://``, ``fs:///FOLDER``."""
    tls_settings: ClientTls | None = None
    """TLS towards it; unset: none."""
    subscribed_resources: tuple[Literal["SERVICE_REGISTRY"], ...] = ()
    """What is taken from there; unset: everything."""


class DnsCertificate(Settings):
    """A certificate that the control plane has signed for a name. Deprecated: Istio does it no more."""

    secret_name: str = ""
    """Secret that it is put into."""
    dns_names: tuple[str, ...] = ()
    """Names that it is for."""

"""TLS that sidecars speak with each other: certificates and roots by discovery, identities as SPIFFE names (Istio)."""

from collections.abc import Iterable

from mesh_api.config import (
    CertificateValidation,
    CommonTls,
    DownstreamTls,
    SecretSource,
    StringMatch,
    StringMatchKind,
    TlsParameters,
    UpstreamTls,
)
from mesh_control.world import World
from mesh_policy.mesh_config import MeshConfig

SECRETS = "sds-grpc"
"""Cluster of a proxy's bootstrap: whoever keeps its own certificate, be it an agent beside it or itself."""

OWN = SecretSource("default", SECRETS, wait=True)
"""A workload's own certificate."""
ROOTS = SecretSource("ROOTCA", SECRETS, wait=True)
"""The roots of the mesh."""

CLIENT_PARAMETERS = TlsParameters("TLSv1_2", "TLSv1_3")
CIPHERS = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-GCM-SHA256",
)

PEER_EXCHANGE = "istio-peer-exchange"
IN_MESH = (PEER_EXCHANGE, "istio")
"""What a client in the mesh says that it speaks, besides HTTP/2 where it does."""
HTTP = ("h2", "http/1.1")

MUTUAL_HTTP = ("istio-http/1.0", "istio-http/1.1", "istio-h2")
"""What the sidecar of a client says for HTTP that it has recognized."""
MUTUAL_TCP = (PEER_EXCHANGE, "istio")
MUTUAL_ANY = ("istio", PEER_EXCHANGE, *MUTUAL_HTTP)


def mutual_client(sni: str, names: Iterable[str], *, http2: bool) -> UpstreamTls:
    """To a sidecar, with this workload's certificate; ``names`` are the identities that the other end may have."""
    matches = tuple(StringMatch(StringMatchKind.EXACT, name) for name in names)
    validation = CertificateValidation(ROOTS, subject_alt_names=matches)
    alpn = (*IN_MESH, "h2") if http2 else IN_MESH
    return UpstreamTls(CommonTls((OWN,), validation, alpn, CLIENT_PARAMETERS), sni)


def mutual_server(world: World, files: tuple[str, str, str], *, tcp: bool) -> DownstreamTls:
    """From a sidecar of one of the trust domains, with this workload's certificate or the ``files`` of its proxy
    (certificate, key and authorities; empty: none), which the agent beside it reads."""
    certificate, key, authorities = files
    own = SecretSource(f"file-cert:{certificate}~{key}", SECRETS) if certificate and key else OWN
    roots = SecretSource(f"file-root:{authorities}", SECRETS) if authorities else ROOTS
    matches = tuple(StringMatch(StringMatchKind.PREFIX, f"spiffe://{domain}/") for domain in world.trust_domains)
    alpn = (PEER_EXCHANGE, *HTTP) if tcp else HTTP
    common = CommonTls((own,), CertificateValidation(roots, subject_alt_names=matches), alpn, _parameters(world.mesh))
    return DownstreamTls(common, require_client_certificate=True)


def _parameters(mesh: MeshConfig) -> TlsParameters:
    """The versions and suites that servers in the mesh take."""
    said = mesh.mesh_mtls
    minimum = "TLSv1_3" if said is not None and said.min_protocol_version == "TLSV1_3" else "TLSv1_2"
    return TlsParameters(minimum, "TLSv1_3", (said.cipher_suites if said is not None else ()) or CIPHERS)

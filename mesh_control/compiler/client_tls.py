"""TLS towards hosts as a DestinationRule asks for it: with files or secrets of its own, not with the mesh's (Istio)."""

from collections.abc import Sequence
from dataclasses import replace

from mesh_api.config import (
    CertificateValidation,
    Cluster,
    CommonTls,
    DataSource,
    SecretSource,
    StringMatch,
    StringMatchKind,
    TlsParameters,
    UpstreamTls,
)
from mesh_control.compiler import tls
from mesh_control.compiler.gateways.tls import CIPHERS, ROOTS_OF, credential
from mesh_control.compiler.scope import Scope
from mesh_control.world import World
from mesh_policy.mesh_config import MeshConfig
from mesh_policy.networking.destination_rule import ClientTls

CONFIG_MAP = "configmap://"
"""Holds authorities alone, which are no secret."""
SYSTEM_ROOTS = "system"
"""What Istio's agent takes for the file with the authorities of the machine."""


def is_withheld(scope: Scope, asked: ClientTls, *, selected: bool) -> bool:
    """Whether a sidecar is not told of the secret that is named: only a rule that ``selected`` its workload may hand it out,
    or every sidecar would wait for a secret that is not for it. It speaks no TLS then (Istio)."""
    named = asked.credential_name or ""
    secret = bool(named) and not named.startswith(CONFIG_MAP)
    return secret and not scope.proxy.is_gateway and not selected


def to_host(scope: Scope, cluster: Cluster, asked: ClientTls, identities: Sequence[str]) -> Cluster:
    """The cluster with TLS of the modes SIMPLE and MUTUAL; ``identities`` are the names of the host's certificate where the
    rule has none. What the rule does not name, the request does: its host is asked for and checked."""
    unchecked, names = bool(asked.insecure_skip_verify), asked.subject_alt_names or ()
    http = replace(
        cluster.http,
        auto_sni=not asked.sni,
        auto_san_validation=not asked.sni and not names and not unchecked,
    )
    mutual = asked.mode == "MUTUAL"
    common = CommonTls(
        (_certificate(scope.world, asked),) if mutual else (),
        _validation(scope.world, asked, names or identities),
        ("h2",) if cluster.http.protocol == "http2" else (),
        _parameters(scope.world.mesh),
    )
    return replace(cluster, http=http, tls=UpstreamTls(common, asked.sni or ""))


def without_mesh_alpn(cluster: Cluster) -> tuple[tuple[str, str], ...]:
    """The metadata of a cluster, by which Istio's filter that names the mesh's own protocols leaves its hosts
    alone."""
    return tuple(sorted((*cluster.metadata, ("alpn_override", "false"))))


def _certificate(world: World, asked: ClientTls) -> SecretSource:
    if asked.credential_name:
        return credential(world, asked.credential_name)
    return SecretSource(f"file-cert:{asked.client_certificate}~{asked.private_key}", tls.SECRETS)


def _validation(world: World, asked: ClientTls, names: Sequence[str]) -> CertificateValidation | None:
    if asked.insecure_skip_verify:
        return None
    file = f"file-root:{asked.ca_certificates or SYSTEM_ROOTS}"
    by_secret = asked.credential_name
    return CertificateValidation(
        roots=credential(world, f"{by_secret}{ROOTS_OF}") if by_secret else SecretSource(file, tls.SECRETS),
        subject_alt_names=tuple(StringMatch(StringMatchKind.EXACT, name) for name in names),
        crl=DataSource(asked.ca_crl) if asked.ca_crl and not by_secret else None,
    )


def _parameters(mesh: MeshConfig) -> TlsParameters:
    """The mesh's ciphers and curves (``tlsDefaults``)."""
    known, usual = mesh.tls_defaults, tls.CLIENT_PARAMETERS
    if known is None:
        return usual
    suites = tuple(suite for suite in known.cipher_suites if suite in CIPHERS)
    return TlsParameters(usual.minimum_version, usual.maximum_version, suites, known.ecdh_curves)

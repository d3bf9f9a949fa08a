"""TLS that a gateway speaks to its clients, as a server of a Gateway asks for it."""

from collections.abc import Sequence

from mesh_api.config import (
    CertificateValidation,
    CommonTls,
    DataSource,
    DownstreamTls,
    SecretSource,
    StringMatch,
    StringMatchKind,
    TlsParameters,
)
from mesh_control.compiler import extension_providers, tls
from mesh_control.compiler.gateways.servers import Bound
from mesh_control.compiler.scope import Scope
from mesh_control.world import World
from mesh_policy.mesh_config import MeshConfig
from mesh_policy.networking.server_tls import TERMINATED, ServerTls

ROOTS_OF = "-cacert"
"""Ending of the secret with the authorities that belongs to the one with a certificate."""
BUILTIN, EXTERNAL, INVALID = "builtin://", "sds://", "invalid://"
_WHOLE_NAMES = ("configmap://", "kubernetes://", "kubernetes-gateway://")

CIPHERS = frozenset(
    f"{exchange}{cipher}"
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "AES128-SHA", "AES256-SHA")
    for exchange in ("ECDHE-ECDSA-", "ECDHE-RSA-", "")
) | {"ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305", "DES-CBC3-SHA"}
"""Those that Istio hands on to Envoy; it leaves out all other names."""


def socket(scope: Scope, bound: Bound) -> DownstreamTls | None:
    """How connections to a server are taken; ``None`` where TLS does not end here."""
    asked = bound.server.tls
    if asked is None or bound.passes_tls_on:
        return None
    mutual = asked.mode in ("MUTUAL", "ISTIO_MUTUAL")
    # Bytes of the mesh's own clients may be those of Istio's exchange of metadata.
    exchange = asked.mode == "ISTIO_MUTUAL" and not bound.is_https
    common = CommonTls(
        _certificates(scope.world, asked),
        _validation(scope.world, asked, mutual or asked.mode == "OPTIONAL_MUTUAL"),
        (tls.PEER_EXCHANGE, *tls.HTTP) if exchange else tls.HTTP,
        _parameters(scope.world.mesh, asked) if asked.mode in TERMINATED else TlsParameters(),
    )
    return DownstreamTls(common, require_client_certificate=mutual)


def credential(world: World, name: str) -> SecretSource:
    """The secret that a ``credentialName`` names: from a server of the mesh's for ``sds://NAME``, where there is one, else
    from the control plane itself."""
    if name == BUILTIN:
        return tls.OWN
    if name == f"{BUILTIN}{ROOTS_OF}":
        return tls.ROOTS
    if name.startswith(EXTERNAL):
        name = name.removeprefix(EXTERNAL)
        servers = (provider.sds for provider in world.mesh.providers.values() if provider.sds is not None)
        for server in servers:
            found = extension_providers.reached(world, server.service, server.port)
            # One that is not there leaves the listener waiting for a secret that nobody has.
            return SecretSource(name) if found is None else SecretSource(name, found.cluster, found.hostname)
    if name.startswith(BUILTIN):
        return SecretSource("default")
    if name.startswith(INVALID):
        return SecretSource(INVALID)
    return SecretSource(name if name.startswith(_WHOLE_NAMES) else f"kubernetes://{name}")


def _certificates(world: World, asked: ServerTls) -> tuple[SecretSource, ...]:
    if asked.mode == "ISTIO_MUTUAL":
        return (tls.OWN,)
    names = asked.credential_names or ((asked.credential_name,) if asked.credential_name else ())
    if names:
        return tuple(credential(world, name) for name in names)
    files = [(file.server_certificate, file.private_key) for file in asked.tls_certificates or (asked,)]
    return tuple(_file(certificate, key) for certificate, key in files)


def _file(certificate: str | None, key: str | None) -> SecretSource:
    """Files are read by the agent beside the proxy, which sees them change."""
    if not (certificate and key):
        return tls.OWN
    return SecretSource(f"file-cert:{certificate}~{key}", tls.SECRETS)


def _validation(world: World, asked: ServerTls, checked: bool) -> CertificateValidation | None:
    names = _exact(asked.subject_alt_names or ())
    by_secret = asked.mode != "ISTIO_MUTUAL" and (asked.credential_names or asked.credential_name)
    if by_secret:
        first = asked.credential_names[0] if asked.credential_names else asked.credential_name or ""
        if not checked:
            return CertificateValidation(subject_alt_names=names) if names else None
        return CertificateValidation(
            roots=credential(world, asked.ca_cert_credential_name or f"{first}{ROOTS_OF}"),
            subject_alt_names=names,
            spki=asked.verify_certificate_spki or (),
            hashes=asked.verify_certificate_hash or (),
            accept_untrusted=bool(asked.insecure_skip_verify),
        )
    if not checked:
        return None
    file = None if asked.mode == "ISTIO_MUTUAL" else asked.ca_certificates
    return CertificateValidation(
        roots=SecretSource(f"file-root:{file}", tls.SECRETS) if file else tls.ROOTS,
        subject_alt_names=names,
        crl=DataSource(asked.ca_crl) if asked.ca_crl else None,
        accept_untrusted=bool(asked.insecure_skip_verify),
    )


def _exact(names: Sequence[str]) -> tuple[StringMatch, ...]:
    return tuple(StringMatch(StringMatchKind.EXACT, name) for name in names)


def _parameters(mesh: MeshConfig, asked: ServerTls) -> TlsParameters:
    """The server's own bounds before those of the mesh (``tlsDefaults``)."""
    known = mesh.tls_defaults
    minimum, ciphers, curves = "", (), ()  # type: tuple[str, tuple[str, ...], tuple[str, ...]]
    if known is not None:
        minimum = _version(known.min_protocol_version)
        ciphers, curves = tuple(known.cipher_suites or ()), tuple(known.ecdh_curves or ())
    return TlsParameters(
        _version(asked.min_protocol_version) or minimum,
        _version(asked.max_protocol_version),
        _ciphers(asked.cipher_suites or ()) or ciphers,
        curves,
    )


def _ciphers(names: Sequence[str]) -> tuple[str, ...]:
    """Expressions such as ``[A|B]`` or ``-ALL`` are handed on as they are."""
    kept = (name for name in names if name in ("", "ALL", *CIPHERS) or not name[0].isalnum())
    return tuple(dict.fromkeys(kept))


def _version(name: str | None) -> str:
    """``TLSV1_3`` as Envoy writes it; empty for its own choice."""
    return "" if name in (None, "TLS_AUTO") else name.replace("TLSV", "TLSv")

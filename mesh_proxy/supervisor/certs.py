"""``GET /certs``: the certificates that the proxy shows and believes in, as Envoy's admin interface has them. Pure."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from mesh_api.config import (
    DataSource,
    DownstreamTls,
    ProxyConfig,
    Secret,
    TlsCertificate,
    TrustedRoots,
    UpstreamTls,
)
from mesh_api.config.proxy_config import filter_chains
from mesh_proxy.telemetry.certificates import serial_of

INLINE: Final = "<inline>"
_DAY: Final = 86400


def certs_json(config: ProxyConfig, secrets: Iterable[Secret], now: float) -> dict[str, Any]:
    """``envoy.admin.v3.Certificates``: an entry for each TLS setting in use, the same settings once. ``now``: seconds since
    1970."""
    known = {secret.name: secret for secret in secrets}
    made: list[dict[str, Any]] = []
    for tls in dict.fromkeys(_settings(config)):
        entry = {"ca_cert": list(_roots(tls, known, now)), "cert_chain": list(_shown(tls, known, now))}
        if entry not in made and any(entry.values()):
            made.append(entry)
    return {"certificates": made}


def _settings(config: ProxyConfig) -> Iterator[DownstreamTls | UpstreamTls]:
    for listener in config.listeners:
        for chain in filter_chains(listener):
            if chain.tls is not None:
                yield chain.tls
    for cluster in config.clusters:
        sockets = (cluster.tls, *(match.socket for match in cluster.tls_matches))
        yield from (socket for socket in sockets if isinstance(socket, UpstreamTls))


def _shown(tls: DownstreamTls | UpstreamTls, known: Mapping[str, Secret], now: float) -> Iterator[dict[str, Any]]:
    for source in tls.common.certificates:
        secret = known.get(source.name)
        if isinstance(secret, TlsCertificate):
            yield from _described(secret.chain, INLINE, now, first=True)
    for each in tls.common.tls_certificates:
        yield from _described(_data(each.chain), each.chain.filename or INLINE, now, first=True)


def _roots(tls: DownstreamTls | UpstreamTls, known: Mapping[str, Secret], now: float) -> Iterator[dict[str, Any]]:
    validation = tls.common.validation
    if validation is None:
        return
    if validation.roots is not None:
        secret = known.get(validation.roots.name)
        if isinstance(secret, TrustedRoots):
            yield from _described(secret.roots, INLINE, now)
    elif validation.trusted_ca is not None:
        yield from _described(_data(validation.trusted_ca), validation.trusted_ca.filename or INLINE, now)


def _data(source: DataSource) -> bytes:
    if not source.filename:
        return source.inline
    with contextlib.suppress(OSError), open(source.filename, "rb") as opened:
        return opened.read()
    return b""


def _described(pem: bytes, path: str, now: float, first: bool = False) -> Iterator[dict[str, Any]]:
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError:
        return
    for certificate in found[:1] if first else found:
        left = (certificate.not_valid_after_utc.timestamp() - now) // _DAY
        yield {
            "path": path,
            "serial_number": serial_of(certificate.serial_number),
            "subject_alt_names": list(_names(certificate)),
            "days_until_expiration": str(max(int(left), 0)),
            "valid_from": _written(certificate.not_valid_before_utc),
            "expiration_time": _written(certificate.not_valid_after_utc),
        }


def _names(certificate: Any) -> Iterator[dict[str, str]]:
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    for kind, key in ((x509.DNSName, "dns"), (x509.UniformResourceIdentifier, "uri"), (x509.IPAddress, "ip_address")):
        for name in names.get_values_for_type(kind):
            yield {key: str(name)}


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

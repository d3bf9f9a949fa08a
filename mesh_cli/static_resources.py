"""A proxy's configuration without discovery: what would be asked for stands where it is used. Pure.

Hosts stand in their clusters, tables of routes in their listeners, and secrets are files.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mesh_api.config import (
    Cluster,
    ClusterLoadAssignment,
    ClusterType,
    FilterChain,
    HttpConnectionManager,
    Listener,
    ProxyConfig,
    RouteConfiguration,
)
from mesh_api.xds.json import resource_to_json

CERTIFICATES, ROOTS = "tls_certificate_sds_secret_configs", "validation_context_sds_secret_config"
COMBINED = "combined_validation_context"
FILE_CERTIFICATE, FILE_ROOTS = "file-cert:", "file-root:"
SYSTEM = "system"
"""Names the roots of the machine that the proxy runs on (Istio)."""
SYSTEM_ROOTS = tuple(
    map(Path, ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"))
)
"""Where distributions keep them: Debian, Fedora, Alpine."""


class MissingSecretError(ValueError):
    """A secret of which no files are given; the message names it and who needs it."""


@dataclass(frozen=True, slots=True)
class SecretFiles:
    """The files of a secret: a certificate with its key, or roots."""

    certificate: Path | None = None
    key: Path | None = None
    roots: Path | None = None


def static_resources(config: ProxyConfig, secrets: Mapping[str, SecretFiles]) -> dict[str, Any]:
    """``static_resources`` of a bootstrap. Raises :class:`MissingSecretError`."""
    tables = {table.name: table for table in config.routes}
    hosts = {assignment.cluster_name: assignment for assignment in config.endpoints}
    listeners = ((f"listener {item.name}", _listener(item, tables)) for item in config.listeners)
    clusters = ((f"cluster {item.name}", _cluster(item, hosts)) for item in config.clusters)
    return {
        "listeners": [_with_files(resource_to_json(item), secrets, owner) for owner, item in listeners],
        "clusters": [_with_files(resource_to_json(item), secrets, owner) for owner, item in clusters],
    }


def _cluster(cluster: Cluster, hosts: Mapping[str, ClusterLoadAssignment]) -> Cluster:
    if cluster.type is not ClusterType.EDS:
        return cluster
    found = hosts.get(cluster.assignment_name, ClusterLoadAssignment(cluster.name))
    assignment = replace(found, cluster_name=cluster.name)
    return replace(cluster, type=ClusterType.STATIC, eds_service_name="", load_assignment=assignment)


def _listener(listener: Listener, tables: Mapping[str, RouteConfiguration]) -> Listener:
    default = listener.default_filter_chain
    return replace(
        listener,
        filter_chains=tuple(_chain(chain, tables) for chain in listener.filter_chains),
        default_filter_chain=None if default is None else _chain(default, tables),
    )


def _chain(chain: FilterChain, tables: Mapping[str, RouteConfiguration]) -> FilterChain:
    manager = chain.filter
    if not isinstance(manager, HttpConnectionManager):
        return chain
    table = tables[manager.rds_name] if manager.route_config is None else manager.route_config
    # As with discovery, a route to a cluster that is not there answers 503, and is no error.
    return replace(chain, filter=replace(manager, rds_name="", route_config=replace(table, validate_clusters=False)))


# Secrets. In the JSON, as files are no part of what the control plane sends.


def _with_files(value: Any, secrets: Mapping[str, SecretFiles], owner: str) -> Any:
    if isinstance(value, list):
        return [_with_files(item, secrets, owner) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: _with_files(item, secrets, owner) for key, item in _replaced(value, secrets, owner)}


def _replaced(value: Mapping[str, Any], secrets: Mapping[str, SecretFiles], owner: str) -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        if key == CERTIFICATES:
            yield "tls_certificates", [_certificate(one["name"], secrets, owner) for one in item]
        elif key == ROOTS:
            yield "validation_context", _roots(item["name"], secrets, owner)
        elif key == COMBINED:
            own = _roots(item[ROOTS]["name"], secrets, owner)
            yield "validation_context", {**item.get("default_validation_context", {}), **own}
        else:
            yield key, item


def _certificate(name: str, secrets: Mapping[str, SecretFiles], owner: str) -> dict[str, Any]:
    files = secrets.get(name) or _named(name)
    if files.certificate is None:
        raise MissingSecretError(f"{owner} needs the certificate {name}: give --secret {name}=CERTIFICATE,KEY")
    return {"certificate_chain": {"filename": str(files.certificate)}, "private_key": {"filename": str(files.key)}}


def _roots(name: str, secrets: Mapping[str, SecretFiles], owner: str) -> dict[str, Any]:
    files = secrets.get(name) or _named(name)
    if files.roots is None:
        raise MissingSecretError(f"{owner} needs the roots {name}: give --secret {name}=ROOTS")
    return {"trusted_ca": {"filename": str(files.roots)}}


def _named(name: str) -> SecretFiles:
    """Of a secret whose name says its files (Istio's ``serverCertificate``, ``caCertificates``), those."""
    if name.startswith(FILE_CERTIFICATE):
        certificate, _, key = name.removeprefix(FILE_CERTIFICATE).partition("~")
        return SecretFiles(Path(certificate), Path(key))
    if name == f"{FILE_ROOTS}{SYSTEM}":
        return SecretFiles(roots=next(filter(Path.exists, SYSTEM_ROOTS), SYSTEM_ROOTS[0]))
    return SecretFiles(roots=Path(name.removeprefix(FILE_ROOTS))) if name.startswith(FILE_ROOTS) else SecretFiles()

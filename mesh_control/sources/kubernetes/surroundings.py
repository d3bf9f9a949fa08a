"""What the Gateway API asks of a cluster besides services: labels of namespaces, and which certificates there are. Pure.

Of a Secret nothing is kept but that it is there: gateways ask for its content by name.
"""

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mesh_control.gateway_api import Surroundings
from mesh_policy.gateway_api.attachment import Reference

PAIRS = (("cert", "key"), ("tls.crt", "tls.key"))
"""Under which names a certificate and its key stand, the first pair counts (Istio)."""
ROOTS = ("cacert", "ca.crt")


def surroundings(values: Iterable[Mapping[str, Any]]) -> Surroundings:
    """Those that the objects tell of; what is no object of these kinds is passed over."""
    namespaces: dict[str, dict[str, str]] = {}
    certificates: set[str] = set()
    authorities: set[Reference] = set()
    for value in values:
        kind, meta = value.get("kind"), value.get("metadata") or {}
        if value.get("apiVersion") != "v1" or not isinstance(meta, Mapping):
            continue
        name, namespace = str(meta.get("name", "")), str(meta.get("namespace") or "default")
        if kind == "Namespace":
            namespaces[name] = {str(key): str(label) for key, label in (meta.get("labels") or {}).items()}
        elif kind in ("Secret", "ConfigMap"):
            content = dict(_content(value, encoded=kind == "Secret"))
            if kind == "Secret" and _has_certificate(content):
                certificates.add(f"{namespace}/{name}")
            if _has_roots(content):
                authorities.add(Reference("", kind, namespace, name))
    return Surroundings(namespaces, certificates=frozenset(certificates), authorities=frozenset(authorities))


def _content(value: Mapping[str, Any], *, encoded: bool) -> Iterator[tuple[str, str]]:
    for key, text in (value.get("data") or {}).items():
        if not isinstance(text, str):
            continue
        try:
            yield key, base64.b64decode(text).decode() if encoded else text
        except (binascii.Error, UnicodeDecodeError):
            continue
    for key, text in (value.get("stringData") or {}).items():
        if isinstance(text, str):
            yield key, text


def _has_certificate(content: Mapping[str, str]) -> bool:
    pair = next((pair for pair in PAIRS if all(content.get(name) for name in pair)), None)
    if pair is None:
        return False
    certificate, key = (content[name] for name in pair)
    return "-----BEGIN CERTIFICATE-----" in certificate and "PRIVATE KEY-----" in key


def _has_roots(content: Mapping[str, str]) -> bool:
    found = next((content[name] for name in ROOTS if content.get(name)), "")
    return "-----BEGIN CERTIFICATE-----" in found

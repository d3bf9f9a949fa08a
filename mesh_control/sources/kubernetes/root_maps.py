"""The mesh's roots for pods: a ConfigMap of Istio's name in every namespace, where proxies have it as a file. Pure.

The replica that leads writes it where it is missing or says something else, by server-side apply: what others put beside
stays.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from mesh_api import pod
from mesh_control.sources.kubernetes.mirror import Mirror
from mesh_control.sources.kubernetes.reflector import Raw
from mesh_control.sources.kubernetes.resources import ROOT_MAPS, Collection

NAME, KEY = pod.ROOTS_CONFIG_MAP, pod.ROOTS_FILE.rpartition("/")[2]
"""Istio's (``CACertNamespaceConfigMap``, ``constants.CACertNamespaceConfigMapDataName``)."""
LABELS = {"istio.io/config": "true"}
Mirrors = Mapping[Collection, Mirror]


def collection() -> Collection:
    """Those of all namespaces."""
    return Collection("", "v1", "configmaps", ROOT_MAPS, fields=f"metadata.name={NAME}")


def due(mirrors: Mirrors, bundle: str) -> Iterator[str]:
    """Every namespace whose ConfigMap is to be written; none before all are known. ``bundle`` are the roots in PEM."""
    namespaces, maps = _of(mirrors, "Namespace"), _of(mirrors, ROOT_MAPS)
    if not bundle or not maps or not all(mirror.reflector.synced for mirror in (*namespaces, *maps)):
        return
    said = {namespace: value for mirror in maps for (namespace, _), value in mirror.reflector.items.items()}
    narrowed = frozenset(place.namespace for place in mirrors if place.kind == ROOT_MAPS)
    for mirror in namespaces:
        for (_, name), value in sorted(mirror.reflector.items.items()):
            looked_at = name in narrowed or "" in narrowed
            if looked_at and not _is_ending(value) and (said.get(name, {}).get("data") or {}).get(KEY) != bundle:
                yield name


def patch(namespace: str, bundle: str) -> tuple[str, dict[str, Any]]:
    """Where, and what."""
    metadata = {"name": NAME, "namespace": namespace, "labels": LABELS}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {KEY: bundle}}
    return f"/api/v1/namespaces/{namespace}/configmaps/{NAME}", body


def _of(mirrors: Mirrors, kind: str) -> list[Mirror]:
    return [mirror for place, mirror in mirrors.items() if place.kind == kind]


def _is_ending(namespace: Raw) -> bool:
    phase = (namespace.get("status") or {}).get("phase")
    return phase == "Terminating" or "deletionTimestamp" in (namespace.get("metadata") or {})

"""Meshes that a control plane is measured with: where its objects are, and how one of them is changed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Protocol

import yaml
from mesh_api.xds.type_urls import ENDPOINT, ROUTE

ENDPOINTS = 5
"""Of each service in files."""
PORT = 8080


class Mesh(Protocol):
    """A mesh that a control plane reads."""

    @property
    def names(self) -> dict[str, list[str]]:
        """What proxies of it ask for by name: for each type that is asked for so, the names."""

    def change_policy(self) -> float:
        """Changes how the requests to one service are routed; the moment before it can be known."""

    def change_endpoint(self) -> float:
        """Changes the endpoints of one service; the moment before it can be known."""


class FileMesh:
    """ServiceEntries, each a file of a folder that is made now."""

    def __init__(self, policies: Path, services: int) -> None:
        self._policies = policies
        self._policies.mkdir(parents=True)
        self._services = services
        for number in range(services):
            self._write(f"serviceentry.default.svc{number}.yaml", entry(number))
        self._count = 0

    @property
    def names(self) -> dict[str, list[str]]:
        """See :class:`Mesh`."""
        clusters = [f"outbound|{PORT}||svc{number}.default.svc.cluster.local" for number in range(self._services)]
        return {ENDPOINT: clusters, ROUTE: [str(PORT)]}

    def _write(self, name: str, value: dict[str, Any]) -> float:
        made = self._policies.parent / "new"
        made.write_text(yaml.safe_dump(value), encoding="utf-8")
        made.replace(self._policies / name)
        return time.monotonic()

    def change_policy(self) -> float:
        """Writes a VirtualService that is not there yet, or another timeout."""
        self._count += 1
        found = timeout("svc0", "default", "svc0.default.svc.cluster.local", self._count)
        return self._write("virtualservice.default.svc0.yaml", found)

    def change_endpoint(self) -> float:
        """Gives one service another address."""
        self._count += 1
        return self._write("serviceentry.default.svc1.yaml", entry(1, self._count))


def entry(number: int, shift: int = 0) -> dict[str, Any]:
    """A service and its endpoints."""
    hosts = [f"10.{64 + place}.{number >> 8}.{(number + shift) & 255}" for place in range(ENDPOINTS)]
    spec = {
        "hosts": [f"svc{number}.default.svc.cluster.local"],
        "addresses": [f"172.16.{number >> 8}.{number & 255}"],
        "location": "MESH_INTERNAL",
        "resolution": "STATIC",
        "ports": [{"number": PORT, "name": "http", "protocol": "HTTP"}],
        "endpoints": [{"address": address} for address in hosts],
    }
    return _object("ServiceEntry", f"svc{number}", "default", spec)


def timeout(name: str, namespace: str, host: str, seconds: int) -> dict[str, Any]:
    """A VirtualService that says how long requests to a host may take."""
    spec = {"hosts": [host], "http": [{"route": [{"destination": {"host": host}}], "timeout": f"{seconds}s"}]}
    return _object("VirtualService", name, namespace, spec)


def _object(kind: str, name: str, namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec}

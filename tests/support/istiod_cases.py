"""Worlds that are compiled by a real istiod and by us: files of ``tests/integration/mesh_control/istiod``.

A case is a file. Its first document may say which proxies ask (``proxies``: name to ``id`` and ``metadata``) and how the
mesh is set (``mesh``), and its networks (``networks``); the objects follow. Without proxies the usual ones ask: client,
server, gateway.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml

from mesh_api.config import ProxyConfig
from mesh_api.node import Node
from mesh_api.xds.json import resources_to_json
from mesh_cli.compile import SECTIONS
from mesh_control.compiler import compile_proxy
from mesh_control.proxies import proxy_of
from mesh_control.world import World
from mesh_policy.mesh_config import read_mesh_config, read_mesh_networks
from mesh_simulation import Mesh
from tests.support.istio_compiler import Answer, Asker

FOLDER = Path(__file__).parents[1] / "integration" / "mesh_control" / "istiod"

USUAL = {
    "client": Asker(
        "sidecar~127.0.0.1~client-1.default~default.svc.cluster.local",
        {"LABELS": {"app": "client"}, "NAMESPACE": "default", "INTERCEPTION_MODE": "REDIRECT"},
    ),
    "server": Asker(
        "sidecar~127.0.0.11~reviews-v1.default~default.svc.cluster.local",
        {"LABELS": {"app": "reviews", "version": "v1"}, "NAMESPACE": "default", "INTERCEPTION_MODE": "REDIRECT"},
    ),
    "gateway": Asker(
        "router~127.0.0.99~istio-ingressgateway-1.istio-system~istio-system.svc.cluster.local",
        {"LABELS": {"istio": "ingressgateway"}, "NAMESPACE": "istio-system"},
    ),
}
MESH = "{accessLogFile: /dev/stdout, enableTracing: false}"
"""Settings of the mesh where a case has none."""


@dataclass(frozen=True)
class Case:
    """What a file says."""

    objects: str
    mesh: str
    proxies: dict[str, Asker]
    networks: str = ""

    @cached_property
    def world(self) -> World:
        """What it is about."""
        settings, networks = read_mesh_config(self.mesh, "mesh"), read_mesh_networks(self.networks)
        return Mesh.read([("case", self.objects)], mesh_config=settings, networks=networks, as_given=True).world

    def compiled(self, asker: Asker) -> ProxyConfig:
        """What our compiler makes of it; complete."""
        config = compile_proxy(self.world, proxy_of(Node(asker.id, metadata=asker.metadata)))
        assert config.missing() == ()
        return config

    def answer(self, asker: Asker) -> Answer:
        """The same as protobuf JSON, by discovery service."""
        made = resources_to_json(self.compiled(asker))
        return {service: made[section] for service, section in SECTIONS.items()}


def read(file: Path) -> Case:
    """The case of a file."""
    text = file.read_text(encoding="utf-8")
    first = yaml.safe_load(text.split("\n---")[0]) or {}
    if "apiVersion" in first:
        return Case(text, MESH, USUAL)
    objects = text.split("\n---", 1)[1]
    proxies = {name: Asker(node["id"], node.get("metadata", {})) for name, node in (first.get("proxies") or {}).items()}
    networks = yaml.safe_dump({"networks": first["networks"]}) if "networks" in first else ""
    return Case(objects, yaml.safe_dump(first["mesh"]) if "mesh" in first else MESH, proxies or USUAL, networks)


FILES = sorted(FOLDER.glob("*.yaml"), key=lambda file: (read(file).mesh, file.name))
"""Those with equal settings of the mesh one after the other: an istiod is started for each settings."""

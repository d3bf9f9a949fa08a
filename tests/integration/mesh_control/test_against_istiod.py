"""Worlds compiled by a real istiod and by us, compared as protobuf JSON (``tests/support/xds_differences.py``).

A case is a file of ``istiod/``. Its first document may say which proxies ask (``proxies``: name to ``id`` and ``metadata``)
and how the mesh is set (``mesh``); the objects follow. Without proxies the usual ones ask: client, server, gateway.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from mesh_api.node import Node
from mesh_api.xds.json import resources_to_json
from mesh_cli.compile import SECTIONS
from mesh_control.compiler import compile_proxy
from mesh_control.proxies import proxy_of
from mesh_policy.mesh_config import read_mesh_config
from mesh_simulation import Mesh
from tests.support import go_programs, istio_compiler
from tests.support.istio_compiler import Answer, Asker
from tests.support.xds_differences import differences

pytestmark = pytest.mark.integration

CASES = sorted((Path(__file__).parent / "istiod").glob("*.yaml"))

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


@dataclass(frozen=True)
class Case:
    """What a file says."""

    objects: str
    mesh: str
    proxies: dict[str, Asker]


def read(file: Path) -> Case:
    text = file.read_text(encoding="utf-8")
    first = yaml.safe_load(text.split("\n---")[0]) or {}
    if "apiVersion" in first:
        return Case(text, MESH, USUAL)
    objects = text.split("\n---", 1)[1]
    proxies = {name: Asker(node["id"], node.get("metadata", {})) for name, node in (first.get("proxies") or {}).items()}
    mesh = yaml.safe_dump(first["mesh"]) if "mesh" in first else MESH
    return Case(objects, mesh, proxies or USUAL)


@pytest.fixture(scope="module")
def istiod() -> Path:
    try:
        return istio_compiler.build()
    except go_programs.NotBuiltError as reason:
        pytest.skip(str(reason))


def compiled(case: Case, asker: Asker) -> Answer:
    mesh = Mesh.read([("case", case.objects)], mesh_config=read_mesh_config(case.mesh, "mesh"))
    config = compile_proxy(mesh.world, proxy_of(Node(asker.id, metadata=asker.metadata)))
    assert config.missing() == ()
    made: dict[str, Any] = resources_to_json(config)
    return {service: made[section] for service, section in SECTIONS.items()}


@pytest.mark.parametrize("file", CASES, ids=[file.stem for file in CASES])
def test_means_the_same(istiod: Path, file: Path) -> None:
    case = read(file)
    askers = list(case.proxies.items())
    answers = istio_compiler.ask(istiod, [(case.objects, case.mesh)], [asker for _, asker in askers])[0]
    told = [
        f"{name}: {line}"
        for (name, asker), answer in zip(askers, answers, strict=True)
        for line in differences(answer, compiled(case, asker))
    ]
    assert "\n".join(told) == ""

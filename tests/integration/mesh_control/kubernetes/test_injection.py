"""A real API server asks a real control plane about new pods, and takes what it gets back for pods."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from mesh_control.injection.manifest import CONFIGURATION, configuration
from tests.integration.mesh_control.harness import ControlPlane
from tests.support.kube_apiserver import PATIENCE, Client, Server
from tests.support.ports import free_port

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the programs' first build

KINDS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {}}}


def pod(name: str, namespace: str, *, labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    container = {
        "name": "shop",
        "image": "shop:1",
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}},
        "livenessProbe": {"grpc": {"port": 9090}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": "shop", **(labels or {})}},
        # Nobody here gives pods an account.
        "spec": {"serviceAccountName": "shop", "containers": [container], **spec},
    }


@contextmanager
def plane_that_injects(folder: Path, server: Server) -> Iterator[tuple[ControlPlane, str]]:
    plane, address = ControlPlane(folder), f"127.0.0.1:{free_port()}"
    settings = yaml.safe_load(plane.config.read_text())
    settings |= {
        "ca": {"address": f"127.0.0.1:{free_port()}", "token_audiences": []},
        "webhook": {"address": address, "server_names": ["127.0.0.1"]},
        "kubernetes": {"kubeconfig": str(server.kubeconfig()), "identity": "injects"},
        "injection": {"image": "registry.example/proxy:1"},
    }
    plane.config.write_text(yaml.safe_dump(settings))
    plane.start()
    try:
        yield plane, f"https://{address}"
    finally:
        if plane.process is not None:
            plane.kill()


async def made(server: Server, value: dict[str, Any]) -> tuple[int, dict[str, Any], list[str]]:
    """Status, pod and warnings of the answer to a creation that is only tried."""
    access, namespace = server.access(), value["metadata"]["namespace"]
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=access.tls or True), headers=access.headers()) as http,
        http.post(
            f"{access.url}/api/v1/namespaces/{namespace}/pods",
            json=value,
            params={"dryRun": "All", "fieldValidation": "Strict"},
        ) as answer,
    ):
        return answer.status, await answer.json(), list(answer.headers.getall("Warning", []))


def proxies(value: dict[str, Any]) -> list[str]:
    spec = value["spec"]
    everything = [*spec.get("initContainers", ()), *spec["containers"]]
    return [container["name"] for container in everything if container["name"].startswith("istio-")]


async def until_injected(server: Server, value: dict[str, Any]) -> dict[str, Any]:
    """Until the API server has taken up that it is to ask, and the control plane has written its roots."""
    deadline = time.monotonic() + PATIENCE
    while True:
        status, found, _ = await made(server, value)
        if status == 201 and proxies(found):
            return found
        assert time.monotonic() < deadline, str(found)
        await asyncio.sleep(0.05)


async def test_pods_get_their_proxies(tmp_path: Path, server: Server, client: Client) -> None:
    labelled = {**NAMESPACE, "metadata": {"name": "shop", "labels": {"istio-injection": "enabled"}}}
    own = {**NAMESPACE, "metadata": {"name": "own", "labels": {"meshwright.io/injection": "enabled"}}}
    plain = {**NAMESPACE, "metadata": {"name": "plain"}}
    await client.apply(labelled, own, plain)
    with plane_that_injects(tmp_path, server) as (plane, url):
        wanted = configuration("", {"url": f"{url}/inject"}, "istio-system")
        for webhook in wanted["webhooks"]:
            # The roots are the control plane's to write.
            del webhook["clientConfig"]["caBundle"]
        await client.api.request("POST", KINDS, wanted)
        try:
            found = await until_injected(server, pod("one", "shop"))
            assert proxies(found) == ["istio-init", "istio-proxy"], plane.log
            assert found["spec"]["initContainers"][1]["image"] == "registry.example/proxy:1"
            probe = found["spec"]["containers"][0]["readinessProbe"]["httpGet"]
            assert (probe["path"], probe["port"]) == ("/app-health/shop/readyz", 15020)

            assert proxies((await made(server, pod("two", "own")))[1]) == ["istio-init", "istio-proxy"]
            assert proxies((await made(server, pod("three", "plain")))[1]) == []
            asks = {"sidecar.istio.io/inject": "true"}
            assert proxies((await made(server, pod("four", "plain", labels=asks)))[1]) == ["istio-init", "istio-proxy"]
            not_asked = {"sidecar.istio.io/inject": "false"}
            assert proxies((await made(server, pod("five", "shop", labels=not_asked)))[1]) == []

            status, refused, _ = await made(server, pod("six", "shop", hostNetwork=True))
            assert status == 422
            assert "no proxy can be put into the pod: hostNetwork" in refused["message"]

            strange = pod("seven", "shop")
            strange["metadata"]["annotations"] = {"sidecar.istio.io/colour": "red"}
            _, _, warnings = await made(server, strange)
            assert any("there is none of that name" in warning for warning in warnings)

            plane.kill()  # and with nobody to ask, no pod of these is made
            status, refused, _ = await made(server, pod("eight", "shop"))
            assert (status, "failed calling webhook" in refused["message"]) == (500, True), refused
        finally:
            await client.api.request("DELETE", f"{KINDS}/{CONFIGURATION}")

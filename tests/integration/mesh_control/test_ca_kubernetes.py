"""Service accounts of a real kube-apiserver prove who they are; what it says of a token is what counts."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from mesh_control.ca.token_review import ApiServer
from mesh_control.ca.wiring import Office, Plan
from mesh_control.metrics import Metrics
from mesh_control.sources.kubernetes import rbac
from tests.support import kube_apiserver
from tests.support.certificate_client import Workload
from tests.support.kube_apiserver import CONTROL, STRANGER, SUBJECT, Client, Server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the programs' first build

STORE = "spiffe://cluster.local/ns/shop/sa/store"
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
ACCOUNT = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "store", "namespace": "shop"}}


@pytest.fixture
async def server(started: Server) -> Server:
    await started.ready()
    async with kube_apiserver.client(started) as client:
        await client.apply(NAMESPACE, ACCOUNT, *rbac.manifests(SUBJECT, "default"))
    return started


def plan(server: Server, folder: Path, token: str = CONTROL) -> Plan:
    return Plan(folder / "ca", "127.0.0.1:0", api_server=ApiServer(server.access(token)))


@pytest.fixture
async def office(server: Server, tmp_path: Path) -> AsyncIterator[Office]:
    office = Office(plan(server, tmp_path), Metrics(), time.time)
    await office.start()
    try:
        yield office
    finally:
        await office.stop()


async def requested(client: Client, *audiences: str) -> str:
    """A token of the service account, as the kubelet asks for those that it mounts."""
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"audiences": list(audiences), "expirationSeconds": 3600},
    }
    answer: Any = await client.api.request("POST", kube_apiserver.path_of(ACCOUNT, "/token"), body)
    return str(answer["status"]["token"])


async def code(office: Office, token: str, identity: str = STORE) -> grpc.StatusCode:
    try:
        await Workload(identity, office.authority.bundle(), office.port).join(token)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def test_a_service_account_gets_its_identity_and_no_other(server: Server, office: Office) -> None:
    async with kube_apiserver.client(server) as client:
        token = await requested(client, "istio-ca")
        for_itself = await requested(client, "https://kubernetes.default.svc")
        for_both = await requested(client, "istio-ca", "vault")
    assert await code(office, token) is grpc.StatusCode.OK
    assert await code(office, for_both) is grpc.StatusCode.OK
    assert await code(office, for_itself) is grpc.StatusCode.UNAUTHENTICATED
    assert await code(office, token, STORE + "2") is grpc.StatusCode.PERMISSION_DENIED
    head, claims, signature = token.split(".")
    for forged in (f"{head}.{claims}.{signature[::-1]}", f"{head}.{claims[:-2]}AA.{signature}", STRANGER):
        assert await code(office, forged) is grpc.StatusCode.UNAUTHENTICATED


async def test_a_token_of_an_account_that_is_gone(server: Server, office: Office) -> None:
    async with kube_apiserver.client(server) as client:
        token = await requested(client, "istio-ca")
        await client.delete(ACCOUNT)
        async with asyncio.timeout(kube_apiserver.PATIENCE):
            while await code(office, token) is not grpc.StatusCode.UNAUTHENTICATED:
                pass  # the server forgets what it said of a token after some seconds


async def test_whom_the_api_server_does_not_let_ask_believes_nobody(server: Server, tmp_path: Path) -> None:
    office = Office(plan(server, tmp_path, STRANGER), Metrics(), time.time)
    await office.start()
    try:
        async with kube_apiserver.client(server) as client:
            assert await code(office, await requested(client, "istio-ca")) is grpc.StatusCode.UNAUTHENTICATED
    finally:
        await office.stop()

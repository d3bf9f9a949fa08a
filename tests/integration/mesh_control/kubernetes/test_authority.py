"""Two control planes over a real API server are one authority: one root, renewed by the other, rotated by either."""

import asyncio
import contextlib
import itertools
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from cryptography import x509

from mesh_control.ca import given, pem
from mesh_control.sources.kubernetes import rbac
from tests.integration.mesh_control.harness import INVENTORY, LIMIT, ControlPlane
from tests.integration.mesh_control.kubernetes.watched import poll
from tests.integration.mesh_control.test_ca_kubernetes import ACCOUNT, NAMESPACE, STORE, requested
from tests.support.certificate_client import Workload
from tests.support.kube_apiserver import CONTROL, PATIENCE, SUBJECT, Client, Server, path_of
from tests.support.ports import free_port

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the programs' first build

HOME = "istio-system"
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": rbac.CA_SECRET, "namespace": HOME}}
LIFETIME = 12
"""Seconds: a turn of a rotation takes four thirds of it."""


def prepared(folder: Path, server: Server, name: str, inventory: dict[str, Any] = INVENTORY) -> ControlPlane:
    """A replica of that name."""
    (folder / name).mkdir()
    plane = ControlPlane(folder / name, inventory=inventory)
    found = yaml.safe_load(plane.config.read_text())
    found["kubernetes"] = {"kubeconfig": str(server.kubeconfig(CONTROL)), "identity": name, "lease_namespace": HOME}
    secret = f"{HOME}/{rbac.CA_SECRET}"
    found["ca"] = {"address": f"127.0.0.1:{free_port()}", "secret": secret}
    found["ca"] |= {"lifetime": f"{LIFETIME}s", "clock_skew": "0s"}
    plane.config.write_text(yaml.safe_dump(found))
    return plane


@pytest.fixture
async def home(client: Client) -> AsyncIterator[None]:
    place = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME}}
    await client.apply(place, NAMESPACE, ACCOUNT, *rbac.manifests(SUBJECT, HOME))
    yield
    await client.delete(SECRET)


@contextlib.contextmanager
def begun(made: Sequence[ControlPlane]) -> Iterator[None]:
    """All of them begin at the same time, and one of them makes what is there for all."""
    try:
        with ThreadPoolExecutor() as pool:
            list(pool.map(ControlPlane.start, made))
        yield
    finally:
        for plane in made:
            if plane.process is not None:
                plane.kill()


@pytest.fixture
def planes(tmp_path: Path, server: Server, home: None) -> Iterator[tuple[ControlPlane, ControlPlane]]:
    made = prepared(tmp_path, server, "one"), prepared(tmp_path, server, "two")
    with begun(made):
        yield made


def mesh(plane: ControlPlane, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mesh_cli", *words, "--socket", str(plane.socket)]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)


def port(plane: ControlPlane) -> int:
    return int(yaml.safe_load(plane.config.read_text())["ca"]["address"].rpartition(":")[2])


async def phases(plane: ControlPlane) -> dict[str, str]:
    return {root["name"]: root["phase"] for root in (await plane.client.authority())["roots"]}


def believes(one: Workload, other: Workload) -> None:
    """As in a handshake: the other's certificate leads to a root that came with one's own."""
    issued = x509.load_pem_x509_certificate(other.chain[0].encode())
    for root in pem.read_certificates(one.roots):
        try:
            issued.verify_directly_issued_by(root)
        except Exception:  # of another root
            continue
        return
    raise AssertionError("no root of its own leads to the other's certificate")


async def test_two_control_planes_are_one_authority(
    planes: tuple[ControlPlane, ControlPlane], server: Server, client: Client
) -> None:
    one, two = planes
    bundle = await one.client.trust_bundle()
    assert bundle == await two.client.trust_bundle()
    stored = await client.get(SECRET)
    assert set(stored["data"]) >= {given.CERTIFICATE, given.KEY, given.ROOTS, given.CHAIN}
    token = await requested(client, "istio-ca")
    first, second = Workload(STORE, bundle, port(one)), Workload(STORE, bundle, port(two))
    await first.join(token)
    await second.join(token)
    believes(first, second)
    first.port = port(two)
    await first.renew()
    assert (pem.expires(first.certificate) - time.time()) <= LIFETIME
    for plane in planes:
        files = {path.name for path in (plane.folder / "state" / "ca").iterdir()}
        assert not [name for name in files if name.endswith((".key", ".pem"))], files
        assert "PRIVATE KEY" not in plane.log
    refused = mesh(two, "tokens", "create", "shop/store")
    assert refused.returncode == 1, refused
    assert "known to one replica alone" in refused.stderr
    with pytest.raises(grpc.aio.AioRpcError):
        await Workload(STORE, bundle, port(two)).join("no-token")
    # A pod's folder goes with it, and the root stays.
    assert two.end() == 0, two.log
    two.folder.joinpath("state").rename(two.folder / "gone")
    two.start()
    assert await two.client.trust_bundle() == bundle
    await client.delete(SECRET)
    [again] = await poll(lambda: secrets(client), bool)
    assert again["data"][given.CERTIFICATE] == stored["data"][given.CERTIFICATE]
    assert list((await phases(one)).values()) == list((await phases(two)).values()) == ["current"]


async def secrets(client: Client) -> Any:
    """The shared one, where it is there."""
    listed = await client.api.request("GET", path_of(SECRET).rpartition("/")[0])
    return [item for item in listed["items"] if item["metadata"]["name"] == rbac.CA_SECRET]


async def test_a_rotation_by_either_lets_nobody_down(
    planes: tuple[ControlPlane, ControlPlane], server: Server, client: Client
) -> None:
    one, two = planes
    token = await requested(client, "istio-ca")
    workloads = [Workload(STORE, await plane.client.trust_bundle(), port(plane)) for plane in planes]
    for workload in workloads:
        await workload.join(token)
    [old] = await phases(one)
    done = mesh(two, "ca", "rotate", "-o", "json")
    assert done.returncode == 0, done.stderr
    told = {root["name"]: root["phase"] for root in json.loads(done.stdout)["roots"]}
    [new] = [name for name, phase in told.items() if phase == "next"]
    again = mesh(one, "ca", "rotate")
    assert "one rotation after another" in again.stderr
    seen: set[str] = set()
    async with asyncio.timeout(PATIENCE + 4 * LIFETIME):
        for turn in itertools.count():
            for number, workload in enumerate(workloads):
                workload.port = port(planes[(number + turn) % 2])
                with contextlib.suppress(
                    grpc.aio.AioRpcError
                ):  # one that could not read the Secret in time signs nothing
                    await workload.renew()
                assert time.time() < pem.expires(workload.certificate), "agents ask again until it has expired"
            believes(workloads[0], workloads[1])
            believes(workloads[1], workloads[0])
            found = await phases(planes[turn % 2])
            seen.add("alone" if found == {new: "current"} else found[new])
            if "alone" in seen:
                break
            await asyncio.sleep(LIFETIME / 8)  # as agents do, which renew before the half of it
    assert seen == {"next", "current", "alone"}, (one.log, two.log)
    assert old not in await phases(one)


async def test_without_the_right_it_says_so_and_does_not_start(tmp_path: Path, server: Server, client: Client) -> None:
    await client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "elsewhere"}})
    plane = prepared(tmp_path, server, "one")
    found: dict[str, Any] = yaml.safe_load(plane.config.read_text())
    found["ca"]["secret"] = "elsewhere/istio-ca-secret"
    plane.config.write_text(yaml.safe_dump(found))
    command = [sys.executable, "-m", "mesh_control", "--config", str(plane.config)]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 1, done
    assert "ca.secret: Secret elsewhere/istio-ca-secret cannot be read: " in done.stderr
    assert "forbidden" in done.stderr

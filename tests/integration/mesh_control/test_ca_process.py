"""The authority in the control plane's process, as operators see it: settings, `mesh tokens`, `mesh ca`, `mesh status`."""

import asyncio
import json
import os
import re
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from mesh_control.ca import given
from tests.integration.mesh_control.harness import LIMIT, ControlPlane
from tests.support.certificate_client import Workload
from tests.support.ports import free_port

pytestmark = pytest.mark.integration

STORE = "spiffe://cluster.local/ns/default/sa/store"


def prepared(folder: Path, **section: Any) -> ControlPlane:
    """A control plane whose settings have a section ``ca``."""
    plane = ControlPlane(folder)
    found = yaml.safe_load(plane.config.read_text())
    found["ca"] = {"address": f"127.0.0.1:{free_port()}"} | section
    plane.config.write_text(yaml.safe_dump(found))
    return plane


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    made = prepared(tmp_path)
    made.start()
    yield made
    if made.process is not None:
        made.kill()


def mesh(plane: ControlPlane, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mesh_cli", *words, "--socket", str(plane.socket)]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)


def told(plane: ControlPlane, *words: str) -> Any:
    done = mesh(plane, *words, "-o", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def workload(plane: ControlPlane, identity: str = STORE) -> Workload:
    port = int(yaml.safe_load(plane.config.read_text())["ca"]["address"].rpartition(":")[2])
    return Workload(identity, mesh(plane, "ca", "bundle").stdout, port)


def test_a_token_from_its_making_to_its_end(plane: ControlPlane, tmp_path: Path) -> None:
    done = mesh(plane, "tokens", "create", "default/store", "--expires", "10m", "--note", "for the test")
    text = done.stdout.strip()
    name = text.split(".")[1]
    assert re.fullmatch(rf"join token {name} for {STORE}, until 20\d\d-\S+ \S+Z\n", done.stderr)
    made = workload(plane)
    asyncio.run(made.join(text))
    listed = mesh(plane, "tokens", "list").stdout
    assert re.search(rf"^{name}  used up  1/1 .* {STORE} +for the test$", listed, re.MULTILINE)
    asyncio.run(made.renew())
    revoked = mesh(plane, "tokens", "revoke", name, "--certificates")
    assert revoked.stderr == f"join token {name} is revoked; 2 certificates will not be renewed\n"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        asyncio.run(made.renew())
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert mesh(plane, "tokens", "revoke", "0" * 12).stderr == f"there is no join token {'0' * 12}\n"
    assert text.split(".")[2] not in plane.log
    valid = told(plane, "ca", "certificates")
    assert [(c["proof"], "revoked" in c) for c in valid[:2]] == [("control plane", False), (f"join token {name}", True)]
    assert re.search(rf"{STORE} .* certificate {valid[1]['serial']} +revoked", mesh(plane, "ca", "certificates").stdout)
    lines = [json.loads(line.partition("audit: ")[2]) for line in plane.log.splitlines() if "audit: {" in line]
    assert [line["event"] for line in lines] == [
        "issued",  # its own
        "token created",
        "issued",
        "issued",
        "token revoked",
        "refused",
    ]


def test_a_token_in_a_file(plane: ControlPlane, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        done = mesh(plane, "tokens", "create", "default/*", "--uses", "2", "--file", str(tmp_path / "join"))
    finally:
        os.umask(before)
    assert (done.returncode, done.stdout) == (0, "")
    assert stat.S_IMODE((tmp_path / "join").stat().st_mode) == 0o600
    asyncio.run(workload(plane).join((tmp_path / "join").read_text().strip()))
    again = mesh(plane, "tokens", "create", "default/*", "--file", str(tmp_path / "join"))
    assert (again.returncode, "File exists" in again.stderr) == (2, True)
    wrong = mesh(plane, "tokens", "create", "default", "--file", str(tmp_path / "other"))
    assert (wrong.returncode, "'default' is not NAMESPACE/SERVICE-ACCOUNT" in wrong.stderr) == (1, True)
    assert not (tmp_path / "other").exists()
    assert mesh(plane, "tokens", "create", "default/a", "--expires", "soon").returncode == 2
    assert len(told(plane, "tokens", "list")) == 1


def test_the_authority_in_every_view(plane: ControlPlane) -> None:
    text = mesh(plane, "ca", "status").stdout
    assert re.search(r"^[0-9a-f]{12}  current  20\d\d-\S+ \S+Z  signs since ", text, re.MULTILINE)
    assert "1 valid certificates in cluster.local" in text
    assert re.search(r"^certificates: 1 valid; current root until 20", mesh(plane, "status").stderr, re.MULTILINE)
    rotated = mesh(plane, "ca", "rotate").stdout
    assert re.search(r"^[0-9a-f]{12}  next .* signs from ", rotated, re.MULTILINE)
    second = mesh(plane, "ca", "rotate")
    assert (second.returncode, "one rotation after another" in second.stderr) == (1, True)
    assert mesh(plane, "ca", "bundle").stdout.count("BEGIN CERTIFICATE") == 2
    assert [root["phase"] for root in told(plane, "status")["authority"]["roots"]] == ["current", "next"]
    with urllib.request.urlopen(f"http://127.0.0.1:{plane.monitoring_port}/metrics", timeout=LIMIT) as answer:
        page = answer.read().decode()
    [seconds] = re.findall(r"^citadel_server_root_cert_expiry_seconds (\S+)$", page, re.MULTILINE)
    assert 3649 * 86400 < float(seconds) <= 3650 * 86400


def test_a_root_that_is_trusted_no_more(plane: ControlPlane) -> None:
    made = workload(plane)
    asyncio.run(made.join(mesh(plane, "tokens", "create", "default/store").stdout.strip()))
    [root] = told(plane, "ca", "status")["roots"]
    before = mesh(plane, "ca", "bundle").stdout
    asked = mesh(plane, "ca", "distrust", root["name"][:12])
    assert (asked.returncode, "nothing was changed; with --confirm" in asked.stderr) == (1, True)
    assert re.search(rf"^{made.identity}  20\S+ \S+Z  its certificate proves nothing", asked.stdout, re.MULTILINE)
    assert mesh(plane, "ca", "bundle").stdout == before
    assert "is none of the roots" in mesh(plane, "ca", "distrust", "f" * 64, "--confirm").stderr
    done = mesh(plane, "ca", "distrust", root["name"][:12], "--confirm")
    assert (done.returncode, "is trusted no more" in done.stderr) == (0, True)
    after = mesh(plane, "ca", "bundle").stdout
    assert after.count("BEGIN CERTIFICATE") == 1
    assert after != before
    assert '"event": "root distrusted"' in plane.log
    # Neither end knows the other any more; with a token and the new roots it joins anew.
    with pytest.raises(grpc.aio.AioRpcError):
        asyncio.run(made.renew())
    made.roots = after
    with pytest.raises(grpc.aio.AioRpcError):
        asyncio.run(made.renew())
    asyncio.run(made.join(mesh(plane, "tokens", "create", "default/store").stdout.strip()))
    asyncio.run(made.renew())


def test_it_is_the_same_after_a_crash(plane: ControlPlane) -> None:
    text = mesh(plane, "tokens", "create", "default/store").stdout.strip()
    bundle, tokens = mesh(plane, "ca", "bundle").stdout, told(plane, "tokens", "list")
    made = workload(plane)
    asyncio.run(made.join(text))
    plane.kill()
    plane.start()
    assert mesh(plane, "ca", "bundle").stdout == bundle
    assert [t | {"used": 0, "state": "valid"} for t in told(plane, "tokens", "list")] == tokens
    asyncio.run(made.renew())
    with pytest.raises(grpc.aio.AioRpcError):
        asyncio.run(workload(plane).join(text))
    assert plane.end() == 0


def test_without_the_section_there_is_none(tmp_path: Path) -> None:
    plane = ControlPlane(tmp_path)
    plane.start()
    try:
        done = mesh(plane, "ca", "status")
        assert (done.returncode, "write a section ca into its settings" in done.stderr) == (1, True)
        assert "authority" not in told(plane, "status")
        assert not (tmp_path / "state" / "ca").exists()
    finally:
        plane.kill()


BAD = {
    "open": ({"plaintext_address": "0.0.0.0:15010"}, 64, "ca.plaintext_address: '0.0.0.0:15010' can be reached from"),
    "domain": ({"trust_domain": "Cluster.Local"}, 64, "ca.trust_domain: trust domain 'Cluster.Local'"),
    "life": ({"lifetime": "2161h"}, 64, "ca.lifetime: a workload's certificate lives for 90 days at most"),
    "name": ({"server_names": ["istiod system"]}, 64, "ca.server_names.0: 'istiod system' is no name of a host"),
    "unknown": ({"lifetimes": "1h"}, 64, "ca.lifetimes: there is no such setting"),
    "given": ({"given": "/nonexistent"}, 1, "ca: /nonexistent/ca-key.pem: No such file or directory"),
}


@pytest.mark.parametrize("name", BAD)
def test_settings_that_cannot_be_used_are_named(tmp_path: Path, name: str) -> None:
    section, code, message = BAD[name]
    plane = prepared(tmp_path, **section)
    command = [sys.executable, "-m", "mesh_control", "--config", str(plane.config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert (done.returncode, message in done.stderr) == (code, True), done.stderr
    assert not plane.socket.exists()


def test_given_files_are_looked_at_before_anything_is_opened(tmp_path: Path) -> None:
    (tmp_path / "cacerts").mkdir()
    (tmp_path / "cacerts" / given.KEY).write_text("no key")
    plane = prepared(tmp_path, given=str(tmp_path / "cacerts"))
    command = [sys.executable, "-m", "mesh_control", "--config", str(plane.config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.returncode == 1
    assert "ca-key.pem" in done.stderr
    assert "chmod 600 it" in done.stderr

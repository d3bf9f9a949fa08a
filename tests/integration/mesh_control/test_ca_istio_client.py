"""Istio's own agent's code asks for certificates: its key, its request, its client (tests/support/istio_ca_client)."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from mesh_control.ca import pem
from mesh_control.ca.wiring import Office, Plan
from mesh_control.metrics import Metrics
from tests.support import go_programs
from tests.support.certificate_client import ISTIOD

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the programs' first build

STORE = "spiffe://cluster.local/ns/default/sa/store"


@pytest.fixture(scope="module")
def program() -> Path:
    try:
        return go_programs.build("istio_ca_client")
    except go_programs.NotBuiltError as reason:
        pytest.skip(str(reason))


@dataclass(slots=True)
class Agent:
    """The program, and the files that Istio's agent has."""

    program: Path
    folder: Path
    office: Office

    async def ask(self, **question: Any) -> dict[str, Any]:
        (self.folder / "root").write_text(self.office.authority.bundle())
        asked = {"endpoint": f"127.0.0.1:{self.office.port}", "name": ISTIOD, "root": str(self.folder / "root")}
        asked |= {"identity": STORE, "seconds": 86400} | question
        process = await asyncio.create_subprocess_exec(
            self.program,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        out, _ = await process.communicate(json.dumps(asked).encode() + b"\n")
        return dict(json.loads(out.splitlines()[-1]))  # its log comes before

    async def join(self, **question: Any) -> dict[str, Any]:
        """Ask with a token of Istio's kind of file, and keep what comes where the agent keeps it."""
        made = await self.office.create_token("default/store", 600, 1, "")
        (self.folder / "token").write_text(made["token"])
        answer = await self.ask(token=str(self.folder / "token"), **question)
        assert answer["error"] == ""
        (self.folder / "cert").write_text("".join(answer["chain"][:-1]))
        (self.folder / "key").write_text(answer["key"])
        return answer


@pytest.fixture
async def agent(program: Path, tmp_path: Path) -> AsyncIterator[Agent]:
    office = Office(Plan(tmp_path / "ca", "127.0.0.1:0"), Metrics(), time.time)
    await office.start()
    try:
        yield Agent(program, tmp_path, office)
    finally:
        await office.stop()


@pytest.mark.parametrize(("rsa_key", "kind"), [(False, ec.EllipticCurvePublicKey), (True, rsa.RSAPublicKey)])
async def test_it_joins_and_gets_what_tls_takes(agent: Agent, tmp_path: Path, rsa_key: bool, kind: type) -> None:
    answer = await agent.join(rsa=rsa_key)
    leaf = x509.load_pem_x509_certificate(answer["chain"][0].encode())
    assert isinstance(leaf.public_key(), kind)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    (tmp_path / "both").write_text("".join(answer["chain"]) + answer["key"])
    context.load_cert_chain(tmp_path / "both")


async def test_it_renews_with_its_certificate_while_its_token_is_used_up(agent: Agent) -> None:
    await agent.join()
    files = {name: str(agent.folder / name) for name in ("cert", "key", "token")}
    answer = await agent.ask(**files)
    assert answer["error"] == ""
    assert (await agent.ask(token=files["token"]))["error"].endswith("desc = request authenticate failure")


async def test_it_is_refused_what_it_does_not_prove(agent: Agent) -> None:
    await agent.join()
    files = {name: str(agent.folder / name) for name in ("cert", "key")}
    for identity in (STORE + "2", "istiod.istio-system.svc", "10.0.0.1"):
        assert "PermissionDenied" in (await agent.ask(identity=identity, **files))["error"]
    assert "InvalidArgument" in (await agent.ask(seconds=91 * 86400, **files))["error"]
    assert "Unauthenticated" in (await agent.ask())["error"]


async def test_it_gets_both_roots_in_a_rotation(agent: Agent) -> None:
    before = await agent.join()
    await agent.office.rotate()
    files = {name: str(agent.folder / name) for name in ("cert", "key")}
    after = await agent.ask(**files)
    assert len(pem.read_certificates(before["chain"][-1])) == 1
    assert len(pem.read_certificates(after["chain"][-1])) == 2
    assert len(after["chain"]) == 2, "Istio takes the last element for the roots"

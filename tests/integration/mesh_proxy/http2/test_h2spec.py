"""h2spec asks our sessions and a real Envoy the same: whatever Envoy gets right, ours get right."""

import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.integration.mesh_proxy.http2.conftest import Envoy
from tests.support import go_programs
from tests.support.http2_server import EchoServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(280)]

PATIENCE = "2"
"""Seconds that h2spec waits for an answer; Envoy closes some connections a second late."""
AT_LEAST = 140
PARTS = ("generic", "http2", "hpack")
UNPRINTABLE = bytes(byte for byte in range(32) if byte not in b"\n\r\t")


@pytest.fixture(scope="module")
def h2spec() -> Path:
    try:
        return go_programs.build_h2spec()
    except go_programs.NotBuiltError as reason:
        pytest.skip(str(reason))


def start(h2spec: Path, port: int, part: str, report: Path) -> "subprocess.Popen[bytes]":
    command = [h2spec, part, "--port", str(port), "--path", "/hello", "--strict", "--timeout", PATIENCE]
    return subprocess.Popen([*command, "--junit-report", report], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def verdicts(reports: list[Path]) -> dict[str, bool]:
    """Whether each test passed, by its section and what it does."""
    found = {}
    for report in reports:
        text = report.read_bytes().translate(None, UNPRINTABLE)  # as frames are quoted
        for case in ElementTree.fromstring(text).iter("testcase"):
            bad = case.find("failure") is not None or case.find("error") is not None
            found[f"{case.get('package')} {case.get('classname')}"] = not bad
    return found


def test_what_envoy_passes_we_pass(h2spec: Path, envoy_server: Envoy, tmp_path: Path) -> None:
    ours, theirs = ([tmp_path / f"{who}-{part}.xml" for part in PARTS] for who in ("ours", "envoy"))
    with EchoServer() as server:
        runs = [start(h2spec, server.port, part, report) for part, report in zip(PARTS, ours, strict=True)]
        runs += [start(h2spec, envoy_server.port, part, report) for part, report in zip(PARTS, theirs, strict=True)]
        for run in runs:
            run.wait(timeout=250)
    assert server.errors == []
    passed, envoy = verdicts(ours), verdicts(theirs)
    assert set(passed) == set(envoy)
    assert len(passed) >= AT_LEAST
    assert [name for name, good in envoy.items() if good and not passed[name]] == []
    assert [name for name, good in passed.items() if not good] == []

"""The parts of ``make bench`` that decide what is measured."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hpack import Decoder
from meshwright_tools.bench import proxy, proxy_bootstrap, traffic
from meshwright_tools.bench.proxy_cases import TOPOLOGIES, cases

from mesh_api.config import ProxyConfig, TlsCertificate, TrustedRoots
from mesh_api.xds.json import config_from_json
from mesh_proxy.checking import problems
from mesh_proxy.protocol.http1 import Parser
from tests.support.authority import Authority

ISSUE = {
    "http1_get": 2.5, "http1_get_realistic": 2.5, "http1_10k": 2.7, "http1_1m": 1.8, "http1_post_10k": 2.3,
    "mtls_get": 2.5, "mtls_10k": 2.5, "mtls_1m": 1.1, "mtls_handshake": 1.0, "grpc_unary": 3.0, "grpc_stream": 3.0,
    "tcp": 1.2, "tcp_small": 1.2,
}  # fmt: skip


def read(path: Path) -> Iterator[bytes]:
    """The requests of a file, with the digits as a program would write them."""
    data, at, number = path.read_bytes(), 0, 0
    while at < len(data):
        length, count = struct.unpack_from("<2I", data, at)
        offsets = struct.unpack_from(f"<{count}I", data, at + 8)
        at += 8 + 4 * count
        request = bytearray(data[at : at + length])
        for offset in offsets:
            request[offset : offset + 8] = b"%08x" % number
            number += 1
        yield bytes(request)
        at += length + -length % 4


def test_every_case_of_the_issue_is_there_with_its_bar(tmp_path: Path) -> None:
    made = cases(tmp_path)
    assert {case.name: case.bar for case in made} == ISSUE
    assert {case.topology for case in made} == set(TOPOLOGIES)


@pytest.mark.parametrize("made", [traffic.plain(300), traffic.realistic(700), traffic.realistic(100, 10_000)])
def test_no_two_requests_are_alike(made: Iterator[bytes], tmp_path: Path) -> None:
    requests = list(read(traffic.write(tmp_path / "requests", made)))
    assert len(set(requests)) == len(requests) == traffic.VARIANTS
    for request in requests:
        head, _, body = request.partition(b"\r\n\r\n")
        assert max(Parser().request(head).length, 0) == len(body)
        assert b"#" not in head


def test_calls_are_blocks_that_a_server_understands(tmp_path: Path) -> None:
    decoder = Decoder()
    for block in read(traffic.write(tmp_path / "calls", traffic.calls())):
        fields = dict(decoder.decode(block, raw=True))
        assert fields[b":path"] == b"/shop.Prices/Get"
        assert fields[b"te"] == b"trailers"
        assert fields[b"grpc-timeout"].endswith(b"m")


def bootstraps(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for topology in TOPOLOGIES:
        for mutual, to_host in proxy.chain_of(topology):
            yield topology, proxy.bootstrap_of(topology, mutual, to_host, 1, 2, folder / "log")


def test_our_proxy_runs_every_configuration(tmp_path: Path) -> None:
    authority = Authority()
    secrets: tuple[TlsCertificate | TrustedRoots, ...] = (
        authority.certificate(proxy_bootstrap.IDENTITY),
        authority.roots(),
    )
    for _, document in bootstraps(tmp_path):
        sections = {
            name: found for name, found in document["static_resources"].items() if name in ("listeners", "clusters")
        }
        config = config_from_json(sections)
        assert isinstance(config, ProxyConfig)
        assert problems(config, secrets) == []


def test_a_line_has_the_median_of_the_rounds_and_says_when_a_bar_is_missed(capsys: pytest.CaptureFixture[str]) -> None:
    costs = {"envoy": [30.0, 60.0, 30.0], "compiled": [10.0, 20.0, 20.0], "interpreted": [15.0, 30.0, 30.0]}
    assert not proxy.told("get", costs, "us CPU per request", 2.5, 2.5)
    assert capsys.readouterr().out == (
        "ratio get 3.00 (envoy 30.0 us, ours 20.0 us CPU per request) [met: 2.5]; interpreted 2.00 (30.0) [MISSED: 2.5]\n"
    )

"""What ``make bench`` measures of the proxies: what runs, what is asked, and how good is good enough."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from meshwright_tools.bench import traffic
from meshwright_tools.bench.proxy_processes import Load

TOPOLOGIES = ("http1", "mtls", "mtls_handshake", "grpc", "tcp")
"""``mtls`` is a client, two proxies with mutual TLS between them, and the application: what both proxies use counts. In
``mtls_handshake`` every request gets a connection of its own between them."""


@dataclass(frozen=True)
class Case:
    """One line. ``bar`` is the least ratio for the compiled form, ``interpreted`` that for the other."""

    name: str
    topology: str
    load: Load
    bar: float
    interpreted: float | None = None


def cases(folder: Path) -> list[Case]:
    """All that are measured by CPU time, with their requests written to ``folder``."""
    get = traffic.write(folder / "get", traffic.plain(300))
    real = traffic.write(folder / "realistic", traffic.realistic(700))
    large = traffic.write(folder / "large", traffic.realistic(10_000))
    huge = traffic.write(folder / "huge", traffic.realistic(1_000_000))
    post = traffic.write(folder / "post", traffic.realistic(100, 10_000))
    calls = traffic.write(folder / "calls", traffic.calls())
    return [
        Case("http1_get", "http1", Load("http1", get, 32), 2.5, 1.8),
        Case("http1_get_realistic", "http1", Load("http1", real, 32), 2.5),
        Case("http1_10k", "http1", Load("http1", large, 32), 2.7),
        Case("http1_1m", "http1", Load("http1", huge, 8), 1.8),
        Case("http1_post_10k", "http1", Load("http1", post, 32), 2.3),
        Case("mtls_get", "mtls", Load("http1", get, 32), 2.5),
        Case("mtls_10k", "mtls", Load("http1", large, 32), 2.5),
        Case("mtls_1m", "mtls", Load("http1", huge, 8), 1.1),
        Case("mtls_handshake", "mtls_handshake", Load("http1", get, 8), 1.0),
        Case("grpc_unary", "grpc", Load("unary", calls, 4, 25), 3.0),
        Case("grpc_stream", "grpc", Load("stream", calls, 4, 25), 3.0),
        Case("tcp", "tcp", Load("http1", huge, 4), 1.2),
        Case("tcp_small", "tcp", Load("http1", get, 16), 1.2),
    ]

"""What sidecars have counted, read from their pages for Prometheus."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_LINE: Final = re.compile(r'^envoy_cluster_(\w+)\{envoy_cluster_name="outbound\|\d+\|[^|]*\|([^"]+)"\} (\d+)')
_OPENED: Final = "upstream_cx_total"
_BY_TLS: Final = "ssl_handshake"
_FAILED: Final = "upstream_cx_connect_fail"


@dataclass(frozen=True, slots=True)
class Opened:
    """Connections to one service that stood, and how many of them by TLS."""

    service: str
    connections: int
    by_tls: int


def opened(pages: list[str]) -> Iterator[Opened]:
    """Of every service that somebody connected to, over all of these pages, by name."""
    counted: dict[str, Counter[str]] = {}
    for page in pages:
        for line in page.splitlines():
            if found := _LINE.match(line):
                counted.setdefault(found[2].partition(".")[0], Counter())[found[1]] += int(found[3])
    for service, numbers in sorted(counted.items()):
        if stood := numbers[_OPENED] - numbers[_FAILED]:
            yield Opened(service, stood, numbers[_BY_TLS])

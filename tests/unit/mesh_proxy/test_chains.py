"""A filter chain is chosen step by step, as Envoy does it."""

from typing import Any

import pytest

from mesh_api.config import FilterChainMatch
from mesh_proxy.chains import TLS, Arrival, ChainError, Chains

PORT: dict[str, Any] = {"destination_port": 80}
WIDE: dict[str, Any] = {"prefix_ranges": ("10.0.0.0/8",)}
NARROW: dict[str, Any] = {"prefix_ranges": ("10.9.9.9/32",)}
PLAIN: dict[str, Any] = {"transport_protocol": "raw_buffer"}
SOURCE: dict[str, Any] = {"source_prefix_ranges": ("192.168.0.0/16",)}
ELSEWHERE: dict[str, Any] = {"source_prefix_ranges": ("172.16.0.0/12",)}
PLAINTEXT: list[tuple[str, list[dict[str, Any]], int | None]] = [
    ("the port", [{}, PORT], 1),
    ("not the port", [{}, {"destination_port": 81}], 0),
    ("the address", [{}, WIDE], 1),
    ("not the address", [{}, {"prefix_ranges": ("11.0.0.0/8",)}], 0),
    ("the longer prefix", [WIDE, NARROW], 1),
    ("the longest of several", [WIDE, {"prefix_ranges": ("1.0.0.0/8", "10.9.0.0/16")}], 1),
    ("a prefix with bits of a host", [{}, {"prefix_ranges": ("10.1.2.3/8",)}], 1),
    ("every address is more than nothing", [{}, {"prefix_ranges": ("0.0.0.0/0",)}], 1),
    ("the other family", [{}, {"prefix_ranges": ("::/0",)}], 0),
    ("the source", [{}, SOURCE], 1),
    ("not the source", [{}, ELSEWHERE], 0),
    ("plain traffic", [{}, PLAIN], 1),
    ("port before address", [NARROW, PORT], 1),
    ("port before source", [SOURCE, PORT], 1),
    ("address before protocol", [PLAIN, WIDE], 1),
    ("address before source", [SOURCE, WIDE], 1),
    ("protocol before source", [SOURCE, PLAIN], 1),
    ("all of it", [PORT, PORT | SOURCE], 1),
    ("the first of equals", [{}, {}], 0),
    ("no way back from the port", [PORT | ELSEWHERE, {}], None),
    ("no way back from the address", [WIDE, NARROW | ELSEWHERE], None),
    (
        "a way back to no port where none of the port fits is not taken",
        [PORT | WIDE, PORT | {"prefix_ranges": ("1.0.0.0/8",)}],
        0,
    ),
    ("none", [{"destination_port": 81}], None),
    ("no chains", [], None),
]


def chosen(chains: list[dict[str, Any]], arrival: Arrival) -> int | None:
    """The place of the chain."""
    return Chains([(FilterChainMatch(**fit), place) for place, fit in enumerate(chains)]).choose(arrival)


@pytest.mark.parametrize(("chains", "expected"), [row[1:] for row in PLAINTEXT], ids=[row[0] for row in PLAINTEXT])
def test_of_plaintext(chains: list[dict[str, Any]], expected: int | None) -> None:
    """Envoy's order; that there is no way back was measured."""
    assert chosen(chains, Arrival(("10.9.9.9", 80), "192.168.1.1")) == expected


EXACT: dict[str, Any] = {"server_names": ("a.b.example.com",)}
STAR: dict[str, Any] = {"server_names": ("*.example.com",)}
LONGER: dict[str, Any] = {"server_names": ("x.com", "*.B.example.com")}
TLS_ONLY: dict[str, Any] = {"transport_protocol": "tls"}
H2: dict[str, Any] = {"application_protocols": ("h2",)}
HTTP1: dict[str, Any] = {"application_protocols": ("http/1.1", "http/1.0")}
ENCRYPTED: list[tuple[str, list[dict[str, Any]], int | None]] = [
    ("the name", [{}, EXACT], 1),
    ("another name", [{}, {"server_names": ("example.com",)}], 0),
    ("the star", [{}, STAR], 1),
    ("a star for no label", [{}, {"server_names": ("*.a.b.example.com",)}], 0),
    ("the name before the star", [STAR, EXACT, LONGER], 1),
    ("the longer star", [STAR, LONGER], 1),
    ("the name, and no way back from it", [STAR, EXACT | PLAIN], None),
    ("TLS", [{}, TLS_ONLY], 1),
    ("not TLS", [PLAIN, {}], 1),
    ("the name before TLS", [TLS_ONLY, STAR], 1),
    ("the address before the name", [EXACT, WIDE], 1),
    ("the protocol", [{}, H2], 1),
    ("the client's first protocol", [HTTP1, H2], 1),
    ("another protocol", [{}, {"application_protocols": ("istio",)}], 0),
    ("TLS before the protocol", [H2, TLS_ONLY], 1),
    ("the protocol before the source", [SOURCE, H2], 1),
    ("all of it", [EXACT | TLS_ONLY, EXACT | TLS_ONLY | H2], 1),
]


@pytest.mark.parametrize(("chains", "expected"), [row[1:] for row in ENCRYPTED], ids=[row[0] for row in ENCRYPTED])
def test_of_tls(chains: list[dict[str, Any]], expected: int | None) -> None:
    arrival = Arrival(("10.9.9.9", 80), "192.168.1.1", TLS, b"a.b.example.com", (b"h2", b"http/1.1"))
    assert chosen(chains, arrival) == expected


def test_plaintext_has_protocols_as_well() -> None:
    """The HTTP inspector's."""
    arrival = Arrival(("10.9.9.9", 80), "192.168.1.1", protocols=(b"http/1.1",))
    assert chosen([{}, HTTP1], arrival) == 1
    assert chosen([{}, HTTP1 | TLS_ONLY], arrival) == 0


def test_an_address_that_is_none_fits_no_network() -> None:
    assert chosen([{"source_prefix_ranges": ("0.0.0.0/0",)}, {}], Arrival(("unix", 0), "unix")) == 1


@pytest.mark.parametrize("field", ["prefix_ranges", "source_prefix_ranges"])
def test_what_is_no_network_is_refused(field: str) -> None:
    with pytest.raises(ChainError, match=r"10\.0\.0\.0/99"):
        chosen([{field: ("10.0.0.0/99",)}], Arrival(("10.9.9.9", 80), "1.1.1.1"))

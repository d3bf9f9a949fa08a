"""Authorities: who is meant, and on which port."""

import pytest

from mesh_proxy.routing.authorities import named


@pytest.mark.parametrize(
    ("authority", "expected"),
    [
        (b"a.example", ("a.example", 80)),
        (b"a.example:8080", ("a.example", 8080)),
        (b"A.example:0", ("A.example", 0)),
        (b"a.example:", ("a.example:", 80)),
        (b"a.example:x", ("a.example:x", 80)),
        (b"a.example:65536", ("a.example:65536", 80)),
        (b"10.0.0.1:81", ("10.0.0.1", 81)),
        (b"[fd00::1]", ("fd00::1", 80)),
        (b"[fd00::1]:81", ("fd00::1", 81)),
        (b"fd00::1", ("fd00::1", 80)),
        (b"", ("", 80)),
    ],
)
def test_host_and_port(authority: bytes, expected: tuple[str, int]) -> None:
    assert named(authority, 80) == expected

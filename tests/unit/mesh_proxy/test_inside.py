"""Whose requests are the mesh's own."""

import pytest

from mesh_proxy.inside import INTERNAL, Inside
from mesh_proxy.protocol.http1 import Head, field_of

NETWORKS = ("10.0.0.0/8", "fd00::/8")


@pytest.mark.parametrize(
    ("remote", "forwarded", "trusted", "holds"),
    [
        (b"10.1.2.3:80", None, True, True),
        (b"[fd00::1]:80", None, True, True),
        (b"11.1.2.3:80", None, True, False),
        (b"10.1.2.3:80", b"10.1.2.3", True, False),
        (b"/run/socket", None, True, False),
        (b"1.1.1.1:80", b"10.1.2.3", False, True),
        (b"1.1.1.1:80", b"fd00::1", False, True),
        (b"10.1.2.3:80", None, False, False),
        (b"10.1.2.3:80", b"11.1.2.3", False, False),
        (b"10.1.2.3:80", b"10.1.2.3,10.1.2.4", False, False),
        (b"10.1.2.3:80", b"nobody", False, False),
    ],
)
def test_one_known_address_decides(remote: bytes, forwarded: bytes | None, trusted: bool, holds: bool) -> None:
    inside = Inside(NETWORKS)
    for _ in range(2):  # the second time by what is remembered
        head = Head()
        head.add(field_of(INTERNAL, b"claimed"))
        if forwarded is not None:
            head.add(field_of(b"x-forwarded-for", forwarded))
        assert inside.judge(head, remote, trusted) is holds
        assert head.get(INTERNAL) == (b"true" if holds else None)

"""Who the other end of a connection of TLS is."""

import pytest

from mesh_proxy.tls.contexts import is_sayable
from mesh_proxy.tls.peer import Peer, dns_name_fits

NAMES = (
    ("DNS", "a.example"),
    ("DNS", "*.wild.example"),
    ("URI", "spiffe://a/b"),
    ("IP Address", "2001:DB8:0:0:0:0:0:1"),
)


@pytest.mark.parametrize(
    ("name", "pattern", "fits"),
    [
        (b"a.example", b"a.example", True),
        (b"A.Example", b"a.eXample", True),
        (b"a.example", b"*.example", True),
        (b"a.b.example", b"*.example", False),
        (b"example", b"*.example", False),
        (b".example", b"*.example", False),
        (b"xn--a.example", b"*.example", False),
        (b"ab.example", b"a*.example", True),
        (b"ab.example", b"*b.example", True),
        (b"ab.example", b"a*b.example", True),
        (b"a.example", b"a*a.example", False),
        (b"a.b.example", b"a.*.example", False),
        (b"a", b"*", False),
        (b"a.example", b"b.example", False),
    ],
)
def test_a_name_and_a_pattern(name: bytes, pattern: bytes, *, fits: bool) -> None:
    assert dns_name_fits(name, pattern) is fits


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("a.example", True),
        ("b.wild.example", True),
        ("spiffe://a/b", True),
        ("2001:db8::1", True),
        ("2001:db8::2", False),
        ("b.example", False),
        ("", False),
    ],
)
def test_a_certificate_is_for_its_names(name: str, *, known: bool) -> None:
    assert Peer(b"x", {"subjectAltName": NAMES}).is_for(name) is known


@pytest.mark.parametrize(
    ("name", "sayable"),
    [
        ("a.example", True),
        ("a_b.example.", True),
        ("", False),
        (".example", False),
        ("a..example", False),
        ("a" * 64 + ".example", False),
        (".".join(["a" * 60] * 5), False),
        ("\xe9.example", False),
    ],
)
def test_names_that_can_be_asked_for(name: str, *, sayable: bool) -> None:
    assert is_sayable(name) is sayable


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain", b"CN=plain"),
        (' a+b,"c"\\<d>;', b'CN=\\ a\\+b\\,\\"c\\"\\\\\\<d\\>\\;'),
        ("#a ", b"CN=\\#a\\ "),
        ("é€", b"CN=\\C3\\A9\\E2\\82\\AC"),
        ("a\r\nx: b\x7f", b"CN=a\\0D\\0Ax: b\\7F"),
    ],
)
def test_a_subject_is_written_as_rfc_2253_has_it(value: str, written: bytes) -> None:
    assert Peer(b"x", {"subject": ((("commonName", value),),)}).subject == written


def test_names_with_line_ends_stay_in_one_line() -> None:
    peer = Peer(b"x", {"subjectAltName": (("URI", "spiffe://a\r\nx: b"), ("DNS", "a\x00b\x7f"))})
    assert (peer.uris, peer.dns) == ((b"spiffe://a%0D%0Ax: b",), (b"a%00b%7F",))

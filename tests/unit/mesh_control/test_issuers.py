"""Where the way to keys may lead."""

import pytest
from yarl import URL

from mesh_control.issuers import is_own, wrong_turn


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.1.2.3", "::1", "[::1]", "0.0.0.0", "::",
        "169.254.169.254",
        "fe80::1", "fe80::1%eth0", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "224.0.0.1",
    ],
)  # fmt: skip
def test_what_is_this_machine_or_its_own_network(host: str) -> None:
    assert is_own(host)


@pytest.mark.parametrize("host", ["issuer.example", "10.0.0.1", "1.1.1.1", "2001:db8::1", "localhost.example", ""])
def test_what_is_not(host: str) -> None:
    assert not is_own(host)


@pytest.mark.parametrize(
    ("first", "then", "told"),
    [
        ("http://a.example/", "http://b.example/", ""),
        ("http://a.example/", "https://b.example/", ""),
        ("https://a.example/", "https://b.example/", ""),
        ("https://a.example/", "http://a.example/", "it gives up HTTPS"),
        ("http://a.example/", "file:///etc/passwd", "no address of HTTP"),
        ("http://a.example/", "http://127.0.0.1:15000/", "leads to this machine"),
        ("http://a.example/", "http://[::ffff:127.0.0.1]/", "leads to this machine"),
        ("http://10.0.0.1/", "http://169.254.169.254/", "leads to this machine"),
        ("http://127.0.0.1/", "http://127.0.0.1:81/", ""),
        ("http://localhost/", "http://[::1]/", ""),
    ],
)
def test_turns(first: str, then: str, told: str) -> None:
    reason = wrong_turn(URL(first), URL(first), URL(then))
    assert told in reason if told else not reason

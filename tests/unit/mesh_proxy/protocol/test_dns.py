"""Questions and answers of DNS."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_proxy.protocol import dns
from tests.support.dns_server import message, question_of, record

NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,20}(\.[a-z][a-z0-9-]{0,20}){0,3}", fullmatch=True)


def asked(name: str = "db.example", kind: int = dns.A) -> bytes:
    found = dns.question(7, name, kind)
    assert found is not None
    return found


@given(NAMES, st.sampled_from([dns.A, dns.AAAA]), st.integers(0, 65535))
def test_a_question_is_what_servers_read(name: str, kind: int, number: int) -> None:
    made = dns.question(number, name, kind)
    assert made is not None
    assert question_of(made)[1:] == (name, kind)
    assert (made[:2], made[2:4]) == (number.to_bytes(2, "big"), b"\x01\0")


@pytest.mark.parametrize("name", ["", ".", "a..b", "a" * 64, ".".join(["a" * 60] * 5), "b\u00fccher.example"])
def test_what_is_no_name_is_not_asked(name: str) -> None:
    assert dns.question(1, name, dns.A) is None


ANSWERS = [
    ("one", [record("db.example", "10.0.0.1", 30)], ("10.0.0.1",), 30),
    ("several", [record("db.example", f"10.0.0.{n}", 60 - n) for n in (1, 2)], ("10.0.0.1", "10.0.0.2"), 58),
    ("the same twice", [record("db.example", "10.0.0.1")] * 2, ("10.0.0.1",), 60),
    ("an alias", [record("db.example", "x.example", 5), record("x.example", "10.0.0.1", 9)], ("10.0.0.1",), 5),
    ("in other case", [record("DB.Example", "10.0.0.1")], ("10.0.0.1",), 60),
    ("of somebody else", [record("other.example", "10.0.0.1")], (), 0),
    ("an alias in a circle", [record("db.example", "x.example"), record("x.example", "db.example")], (), 0),
    ("of another kind", [record("db.example", "::1")], (), 0),
    ("none", [], (), 0),
]


@pytest.mark.parametrize(("records", "addresses", "ttl"), [row[1:] for row in ANSWERS], ids=[row[0] for row in ANSWERS])
def test_an_answer_has_addresses_and_their_time(records: list[bytes], addresses: tuple[str, ...], ttl: int) -> None:
    found = dns.parse(message(asked(), records), 7, "db.example", dns.A)
    assert found is not None
    assert (found.code, found.truncated, found.addresses, found.ttl) == (0, False, addresses, ttl)


def test_names_may_be_written_by_reference() -> None:
    plain = record("db.example", "10.0.0.1")
    pointed = b"\xc0\x0c" + plain[len(b"\x02db\x07example\0") :]
    found = dns.parse(message(asked(), [pointed]), 7, "db.example", dns.A)
    assert found is not None
    assert found.addresses == ("10.0.0.1",)


@pytest.mark.parametrize(("code", "truncated"), [(3, False), (2, False), (0, True)])
def test_an_answer_without_addresses_says_why(code: int, truncated: bool) -> None:
    found = dns.parse(message(asked(), (), code, truncated), 7, "db.example", dns.A)
    assert found is not None
    assert (found.code, found.truncated, found.addresses) == (code, truncated, ())


GOOD = message(asked(), [record("db.example", "10.0.0.1")])
LOOP = message(asked())[:12] + b"\xc0\x0c" + GOOD[14:]
FOREIGN = {
    "another number": (GOOD, 8, "db.example", dns.A),
    "another name": (GOOD, 7, "db.other", dns.A),
    "another kind": (GOOD, 7, "db.example", dns.AAAA),
    "a question": (asked(), 7, "db.example", dns.A),
    "cut off": (GOOD[:-1], 7, "db.example", dns.A),
    "a name that refers to itself": (LOOP, 7, "db.example", dns.A),
    "nothing": (b"", 7, "db.example", dns.A),
}


@pytest.mark.parametrize("case", FOREIGN.values(), ids=FOREIGN.keys())
def test_what_is_no_answer_to_the_question_is_none(case: tuple[bytes, int, str, int]) -> None:
    assert dns.parse(*case) is None


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=80)
    | st.integers(0, len(GOOD) - 1).flatmap(
        lambda at: st.binary(min_size=1, max_size=3).map(lambda found: GOOD[:at] + found + GOOD[at + len(found) :])
    )
)
def test_no_bytes_break_the_parser(data: bytes) -> None:
    found = dns.parse(data, 7, "db.example", dns.A)
    assert found is None or all(found.addresses)

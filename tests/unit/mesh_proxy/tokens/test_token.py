"""A token, read: what it says, and why it is none. (The long table is tests/parity/cases/jwt, beside a real Envoy.)"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_proxy.tokens import statuses
from mesh_proxy.tokens.token import ALGORITHMS, base64url, members, read_token
from tests.support.signed_tokens import url64

ROWS = [
    (".a.b.c", statuses.BAD_FORMAT),
    ("a..c", statuses.BAD_FORMAT),
    ("", statuses.BAD_FORMAT),
    ("a.b.c", statuses.HEADER_BASE64),
    ("ab=.b.c", statuses.HEADER_BASE64),
    ("a+b/.b.c", statuses.HEADER_BASE64),
    ('{"alg":1}', statuses.BAD_ALGORITHM),
    ("null", statuses.BAD_ALGORITHM),
    ("[]", statuses.HEADER_JSON),
    ('{"alg":"none"}', statuses.UNKNOWN_ALGORITHM),
    ('{"alg":"RS256","kid":null}', statuses.BAD_KEY_ID),
    ('{"alg":"RS256","alg":"RS256"}', statuses.HEADER_JSON),
    ('{"alg":"RS256","crit":[]}', statuses.WRONG_SIGNATURE),
]


@pytest.mark.parametrize(("given_text", "why"), ROWS)
def test_what_is_no_token(given_text: str, why: str) -> None:
    text = f"{url64(given_text.encode())}.{url64(b'{}')}.c2ln" if given_text[:1] in ("{", "[", "n") else given_text
    assert read_token(text.encode()).status == why


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({}, ""),
        ({"exp": True}, statuses.not_time("exp")),
        ({"exp": "1"}, statuses.not_time("exp")),
        ({"nbf": -0.5}, statuses.no_such_time("nbf")),
        ({"iat": 2**64}, statuses.no_such_time("iat")),
        ({"iss": None}, statuses.not_text("iss")),
        ({"sub": 1}, statuses.not_text("sub")),
        ({"jti": []}, statuses.not_text("jti")),
        ({"aud": {}}, statuses.BAD_AUDIENCES),
        ({"aud": ["a", None]}, statuses.BAD_AUDIENCES),
        ({"aud": None}, statuses.BAD_AUDIENCES),
        ({"aud": [], "sub": "", "exp": 1.5}, ""),
    ],
)
def test_claims_of_another_type(claims: dict[str, object], why: str) -> None:
    assert read_token(made(claims)).status == why


def made(claims: dict[str, object]) -> bytes:
    head = url64(b'{"alg":"ES256"}')
    return f"{head}.{url64(json.dumps(claims).encode())}.c2ln".encode()


@given(st.binary())
def test_anything_is_read_or_refused(text: bytes) -> None:
    assert read_token(text).status or text.count(b".") == 2


SCALARS = (
    st.none() | st.booleans() | st.text() | st.integers(-(2**53), 2**53) | st.floats(-1e20, 1e20).map(lambda x: x + 0.0)
)
CLAIMS = st.dictionaries(
    st.text().filter(lambda name: name not in ("iss", "sub", "jti", "aud", "iat", "nbf", "exp")),
    st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10),
)


@given(
    CLAIMS,
    st.text(),
    st.integers(0, 2**53),
    st.integers(0, 2**53),
    st.text() | st.lists(st.text()),
    st.sampled_from(sorted(ALGORITHMS)),
)
def test_what_is_written_is_read(
    claims: dict[str, object], issuer: str, begins: int, ends: int, audiences: str | list[str], algorithm: str
) -> None:
    claims = {**claims, "iss": issuer, "nbf": begins, "exp": ends, "aud": audiences}
    head = url64(json.dumps({"alg": algorithm}).encode())
    token = read_token(f"{head}.{url64(json.dumps(claims).encode())}.{url64(b'signature')}".encode())
    assert token.status == ""
    assert (token.issuer, token.begins, token.ends, token.claims) == (issuer, begins, ends, claims)
    assert token.audiences == ([audiences] if isinstance(audiences, str) else audiences)
    assert (token.algorithm, token.signature, token.signed) == (
        algorithm,
        b"signature",
        f"{head}.{url64(json.dumps(claims).encode())}".encode(),
    )


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"a":1,}',
        '{"a":NaN}',
        '{"a":1e999}',
        '{"a":"\\ud800"}',
        '{"a":"\x01"}',
        '{"a":01}',
        "[" * 9999,
        "1",
        '"a"',
        "",
    ],
)
def test_what_is_no_object(text: str) -> None:
    assert members(text.encode()) is None


def test_depth_is_bounded() -> None:
    assert members(f'{{"a":{"[" * 98}1{"]" * 98}}}'.encode()) is not None
    assert members(f'{{"a":{"[" * 500}1{"]" * 500}}}'.encode()) is None


def test_half_a_letter_and_other_encodings_are_none() -> None:
    assert members(b'{"a":"\xff"}') is None
    assert members('{"a":1}'.encode("utf-16")) is None
    assert members(b'{"a":"\\ud83d\\ude00"}') == {"a": "\U0001f600"}


@given(st.binary())
def test_base64url_without_padding(data: bytes) -> None:
    text = url64(data).encode()
    assert base64url(text) == data
    assert base64url(text + b"=") is None


def test_bits_that_are_left_over_are_zero() -> None:
    assert base64url(b"AA") == b"\0"
    assert base64url(b"AB") is None

"""Join tokens: their text, what they prove, and when they prove nothing."""

from dataclasses import replace

import pytest

from mesh_api.identity import SpiffeId
from mesh_control.ca import tokens
from mesh_control.ca.tokens import Grant, TokenError, create, is_secret_of, split

NOW = 1_800_000_000.0
STORE = SpiffeId.workload("cluster.local", "default", "store")


def test_its_text_holds_its_id_and_a_secret_that_is_not_kept() -> None:
    text, token = create(Grant.of(STORE), NOW, 60.0)
    name, secret = split(text) or ("", "")
    assert name == token.id
    assert is_secret_of(token, secret)
    assert secret not in repr(token)
    assert tokens.is_token(text)


@pytest.mark.parametrize("change", ["", "x", "last"])
def test_another_secret_is_not_its_own(change: str) -> None:
    text, token = create(Grant.of(STORE), NOW, 60.0)
    _, secret = split(text) or ("", "")
    other = {"": "", "x": secret + "x", "last": secret[:-1] + ("A" if secret[-1] != "A" else "B")}[change]
    assert not is_secret_of(token, other)
    assert not is_secret_of(None, secret)
    assert not is_secret_of(replace(token, digest=b""), secret)


@pytest.mark.parametrize("text", ["", "mwjt", "mwjt.a.b", "mwjt.0123456789ab.short", "x.0123456789ab." + "a" * 43])
def test_texts_that_are_none(text: str) -> None:
    assert split(text) is None


def test_tokens_differ() -> None:
    assert len({create(Grant.of(STORE), NOW, 60.0)[0] for _ in range(50)}) == 50


def test_it_expires_and_can_be_revoked() -> None:
    _, token = create(Grant.of(STORE), NOW, 60.0)
    assert token.problem(NOW + 59.9) == ""
    assert "expired" in token.problem(NOW + 60)
    assert "revoked" in replace(token, revoked=NOW + 1).problem(NOW + 2)


ROWS = [
    ("default/store", "default/store", True),
    ("default/store", "default/store2", False),
    ("default/store", "Default/store", False),
    ("default/*", "default/anything", True),
    ("default/*", "other/anything", False),
    ("*/store", "other/store", True),
    ("*/*", "a/b", True),
    ("team-*/job-*", "team-a/job-1", True),
    ("team-*/job-*", "team-a/x-job-1", False),
    ("a.b/*", "axb/c", False),
    ("spiffe://cluster.local/ns/default/sa/store", "default/store", True),
]


@pytest.mark.parametrize(("pattern", "asked", "covered"), ROWS)
def test_what_a_pattern_covers(pattern: str, asked: str, covered: bool) -> None:
    grant = Grant.parse("cluster.local", pattern)
    namespace, _, account = asked.partition("/")
    assert grant.covers(SpiffeId.workload("cluster.local", namespace, account)) is covered
    assert not grant.covers(SpiffeId.workload("other.domain", namespace, account))
    assert not grant.covers(SpiffeId.parse("spiffe://cluster.local/ns/default"))
    assert (grant.single is None) is ("*" in pattern)


@pytest.mark.parametrize(
    "pattern",
    ["", "default", "default/", "/store", "a/b/c", "a b/c", "default/store\n", "default/..", "spiffe://other/ns/a/sa/b",
     "spiffe://cluster.local/x", "spiffe://cluster.local/ns/a/sa/*", "https://a/b"],
)  # fmt: skip
def test_patterns_that_are_none(pattern: str) -> None:
    with pytest.raises(TokenError):
        Grant.parse("cluster.local", pattern)


@pytest.mark.parametrize(
    ("seconds", "uses", "note", "named"),
    [(0.0, 1, "", "expires"), (-1.0, 1, "", "expires"), (float("nan"), 1, "", "expires"), (1e12, 1, "", "expires"),
     (60.0, 0, "", "uses"), (60.0, 10**9, "", "uses"), (60.0, 1, "x" * 201, "note"), (60.0, 1, "a\nb", "note")],
)  # fmt: skip
def test_tokens_that_nobody_makes(seconds: float, uses: int, note: str, named: str) -> None:
    with pytest.raises(TokenError, match=named):
        create(Grant.of(STORE), NOW, seconds, uses, note)

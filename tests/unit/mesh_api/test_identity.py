"""SPIFFE ids: what is one, by the standard's own words, and that each has one spelling."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_api.identity import IdentityError, SpiffeId, trust_domain

SEGMENTS = st.from_regex(r"[a-zA-Z0-9._-]{1,20}", fullmatch=True).filter(lambda text: text not in (".", ".."))
DOMAINS = st.from_regex(r"[a-z0-9._-]{1,40}", fullmatch=True)


def test_a_workload() -> None:
    found = SpiffeId.parse("spiffe://cluster.local/ns/default/sa/store")
    assert found == SpiffeId.workload("cluster.local", "default", "store")
    assert (found.trust_domain, found.namespace, found.service_account) == ("cluster.local", "default", "store")
    assert str(found) == "spiffe://cluster.local/ns/default/sa/store"


@pytest.mark.parametrize(
    "text",
    [
        "spiffe://cluster.local",
        "spiffe://td/a",
        "spiffe://td/ns/a/sa",
        "spiffe://td/ns/a/sa/b/c",
        "spiffe://td/NS/a/sa/b",
    ],
)
def test_an_id_that_is_no_workloads(text: str) -> None:
    found = SpiffeId.parse(text)
    assert str(found) == text
    assert not found.is_workload
    assert (found.namespace, found.service_account) == ("", "")


BAD = [
    "",
    "cluster.local/ns/default/sa/store",
    "https://cluster.local/ns/default/sa/store",
    "SPIFFE://cluster.local/ns/default/sa/store",
    "spiffe:/cluster.local/ns/default/sa/store",
    "spiffe://",
    "spiffe:///ns/default/sa/store",
    "spiffe://Cluster.Local/ns/default/sa/store",
    "spiffe://user@cluster.local/ns/default/sa/store",
    "spiffe://cluster.local:443/ns/default/sa/store",
    "spiffe://cluster.local/ns/default/sa/store/",
    "spiffe://cluster.local/",
    "spiffe://cluster.local//ns/default/sa/store",
    "spiffe://cluster.local/ns/../sa/store",
    "spiffe://cluster.local/ns/./sa/store",
    "spiffe://cluster.local/ns/default/sa/store?x=1",
    "spiffe://cluster.local/ns/default/sa/store#x",
    "spiffe://cluster.local/ns/de%66ault/sa/store",
    "spiffe://cluster.local/ns/default/sa/stör",
    "spiffe://cluster.local/ns/default/sa/store\n",
    "spiffe://cluster.local/ns/default/sa/store\0",
    " spiffe://cluster.local/ns/default/sa/store",
    "spiffe://" + "a" * 256 + "/ns/default/sa/store",
    "spiffe://cluster.local/ns/default/sa/" + "a" * 2048,
]


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_what_is_none(text: str) -> None:
    with pytest.raises(IdentityError):
        SpiffeId.parse(text)


@pytest.mark.parametrize(
    ("namespace", "account"), [("", "a"), ("a", ""), ("a/sa/b", "c"), ("a", "b/c"), ("a", ".."), ("a b", "c")]
)
def test_names_that_would_make_another(namespace: str, account: str) -> None:
    with pytest.raises(IdentityError):
        SpiffeId.workload("cluster.local", namespace, account)


@given(DOMAINS, st.lists(SEGMENTS, max_size=6))
def test_every_id_has_one_spelling(domain: str, path: list[str]) -> None:
    text = "/".join([f"spiffe://{domain}", *path])
    found = SpiffeId.parse(text)
    assert str(found) == text
    assert (found.trust_domain, found.path) == (domain, tuple(path))


@given(st.text())
def test_a_text_is_taken_as_it_stands_or_not_at_all(text: str) -> None:
    for candidate in (text, f"spiffe://{text}", f"spiffe://td/{text}"):
        with contextlib.suppress(IdentityError):
            assert str(SpiffeId.parse(candidate)) == candidate


def test_trust_domains() -> None:
    assert trust_domain("td_1.example-2") == "td_1.example-2"
    for bad in ("", "A", "a/b", "a:1", "a" * 256):
        with pytest.raises(IdentityError):
            trust_domain(bad)

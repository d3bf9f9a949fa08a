"""Who is given which address, as Istio's controller gives them."""

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_control.addresses import plan
from mesh_control.addresses.plan import Allocated, Cursor, hosts_of, in_status, planned, to_status
from mesh_policy import ServiceEntry

FIRST = ("240.240.0.1", "2001:2::1")
SECOND = ("240.240.0.2", "2001:2::2")
THIRD = ("240.240.0.3", "2001:2::3")


def entry(name: str, *hosts: str, age: int = 1, labels: dict[str, str] | None = None, **spec: Any) -> ServiceEntry:
    metadata = {"name": name, "namespace": "shop", "labels": labels, "creationTimestamp": f"2026-01-{age:02}T00:00:00Z"}
    ports = [{"name": "tls", "number": 443, "protocol": "TLS"}]
    content = {"hosts": list(hosts or (f"{name}.example",)), "resolution": "DNS", "ports": ports, **spec}
    return ServiceEntry.read({"kind": "ServiceEntry", "metadata": metadata, "spec": content})


def given_to(*entries: ServiceEntry, known: Allocated | None = None, taken: tuple[str, ...] = ()) -> dict[str, Any]:
    found = planned(entries, known or {}, taken, Cursor())
    return {name: dict(hosts) for (_, name), hosts in found.items()}


@pytest.mark.parametrize(
    ("changes", "hosts"),
    [
        ({}, ("a.example",)),
        ({"resolution": "STATIC", "endpoints": [{"address": "192.0.2.1"}]}, ("a.example",)),
        ({"resolution": "DNS_ROUND_ROBIN"}, ("a.example",)),
        ({"resolution": "NONE"}, ()),
        ({"resolution": None}, ()),
        ({"addresses": ["192.0.2.1"]}, ()),
        ({"addresses": ["192.0.2.0/24"], "resolution": "STATIC", "endpoints": [{"address": "192.0.2.1"}]}, ()),
        ({"labels": {plan.LABEL: "false"}}, ()),
        ({"labels": {plan.LABEL: "False"}}, ()),
        ({"labels": {plan.LABEL: "no"}}, ("a.example",)),
        ({"hosts": ["*.a.example"], "resolution": "DYNAMIC_DNS"}, ("*.a.example",)),
        ({"hosts": ["*.a.example", "b.example"], "resolution": "STATIC", "endpoints": [{"address": "192.0.2.1"}]},
         ("b.example",)),
    ],
)  # fmt: skip
def test_which_hosts_are_given_some(changes: dict[str, Any], hosts: tuple[str, ...]) -> None:
    assert hosts_of(entry("a", **changes)) == hosts


def test_each_host_gets_the_next_of_both_versions_the_oldest_first() -> None:
    found = given_to(entry("b", age=2), entry("a", "one.example", "two.example", age=1))
    assert found == {"a": {"one.example": FIRST, "two.example": SECOND}, "b": {"b.example": THIRD}}


def test_what_was_given_stays_whatever_comes_and_goes() -> None:
    known = {("shop", "b"): {"b.example": THIRD}, ("shop", "gone"): {"gone.example": FIRST}}
    assert given_to(entry("a"), entry("b", age=2), known=known) == {
        "a": {"a.example": FIRST},
        "b": {"b.example": THIRD},
    }


def test_a_host_that_comes_to_a_service_entry_changes_nothing_for_the_others_and_one_that_goes_is_left_out() -> None:
    known = {("shop", "a"): {"one.example": SECOND, "gone.example": THIRD}}
    found = given_to(entry("a", "new.example", "one.example"), known=known)
    assert found == {"a": {"new.example": FIRST, "one.example": SECOND}}


def test_who_is_given_none_any_more_has_none() -> None:
    known = {("shop", "a"): {"a.example": FIRST}}
    assert given_to(entry("a", addresses=["192.0.2.1"]), known=known) == {"a": {}}
    assert given_to(entry("a", resolution="NONE")) == {}


def test_of_two_with_one_address_the_older_keeps_it_and_the_other_gets_others_for_all_its_hosts() -> None:
    known = {
        ("shop", "old"): {"old.example": FIRST},
        ("shop", "new"): {"x.example": FIRST, "y.example": SECOND},
    }
    found = given_to(entry("new", "x.example", "y.example", age=2), entry("old", age=1), known=known)
    assert found["old"] == {"old.example": FIRST}
    assert found["new"] == {"x.example": SECOND, "y.example": THIRD}


def test_an_address_that_somebody_wrote_or_has_counts_before_all() -> None:
    known = {("shop", "old"): {"old.example": FIRST}}
    written = entry("written", age=9, addresses=["240.240.0.1"])
    assert given_to(entry("old"), written, known=known) == {"old": {"old.example": ("240.240.0.2", "2001:2::1")}}
    assert given_to(entry("old"), known=known, taken=("2001:2::1",)) == {
        "old": {"old.example": ("240.240.0.1", "2001:2::2")}
    }


def test_what_is_freed_is_not_given_to_somebody_else_at_once() -> None:
    cursor = Cursor()
    first = planned([entry("a")], {}, (), cursor)
    second = planned([entry("b")], first, (), cursor)
    assert second == {("shop", "b"): {"b.example": SECOND}}


def test_after_the_last_one_comes_the_first_that_is_free_and_then_none(monkeypatch: pytest.MonkeyPatch) -> None:
    small = (ipaddress.ip_network("240.240.0.0/30"), ipaddress.ip_network("2001:2::/126"))
    monkeypatch.setattr(plan, "NETWORKS", small)
    cursor = Cursor({4: 2, 6: 3})
    found = planned([entry("a"), entry("b", age=2), entry("c", age=3), entry("d", age=4)], {}, (), cursor)
    assert list(found.values()) == [
        {"a.example": ("240.240.0.3", "2001:2::1")},
        {"b.example": ("240.240.0.1", "2001:2::2")},
        {"c.example": ("240.240.0.2", "2001:2::3")},
        {"d.example": ()},
    ]


@pytest.mark.parametrize(
    ("status", "found"),
    [
        ({"addresses": to_status({"a.example": FIRST})}, {"a.example": FIRST}),
        ({"addresses": [{"value": "240.240.0.1"}]}, {"": ("240.240.0.1",)}),
        ({"addresses": [{"value": "nonsense", "host": "a"}, "nonsense", {"host": "b"}]}, {}),
        ({"addresses": "nonsense"}, {}),
        ({}, {}),
        (None, {}),
        ("nonsense", {}),
    ],
)
def test_what_a_status_says(status: object, found: dict[str, tuple[str, ...]]) -> None:
    assert in_status(status) == found


NAMES = st.sampled_from("abcdef")
CHANGES = st.sampled_from(
    ({}, {"resolution": "NONE"}, {"addresses": ["240.240.0.2"]}, {"hosts": ["x.example", "y.example"]})
)


@given(st.lists(st.dictionaries(NAMES, CHANGES), min_size=1, max_size=6))
def test_whatever_comes_and_goes_no_two_hosts_have_one_address_and_nothing_moves_without_need(steps: list[Any]) -> None:
    known: Allocated = {}
    cursor = Cursor()
    for step in steps:
        entries = [entry(name, age=ord(name) - 96, **spec) for name, spec in step.items()]
        taken = {address for item in entries for address in plan.written(item)}
        found = planned(entries, known, (), cursor)
        addresses = [address for hosts in found.values() for both in hosts.values() for address in both]
        assert len(addresses) == len(set(addresses))
        assert not taken & set(addresses)
        assert planned(entries, found, (), Cursor()) == {owner: hosts for owner, hosts in found.items() if hosts}
        for owner, hosts in found.items():
            before = known.get(owner, {})
            if not taken & {address for both in before.values() for address in both}:
                assert all(hosts[host] == both for host, both in before.items() if host in hosts)
        known = found

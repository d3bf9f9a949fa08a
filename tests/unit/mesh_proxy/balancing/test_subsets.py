"""Parts of a cluster's hosts by their labels."""

from collections.abc import Sequence
from typing import Any

import pytest

from mesh_api.config import Cluster, ClusterLoadAssignment, ClusterType, LocalityEndpoints
from mesh_api.config.load_balancing import Labels, Subsets, SubsetSelector
from mesh_proxy.balancing.balancer import Members
from mesh_proxy.balancing.context import PickContext
from mesh_proxy.balancing.host import Host
from mesh_proxy.balancing.policies import balancer_of
from mesh_proxy.balancing.subsets import Subset
from mesh_proxy.telemetry.stats import Counters
from tests.unit.mesh_proxy.making import endpoint

V, S = "version", "stage"
HOSTS: dict[str, Labels] = {
    "a": ((S, '"prod"'), (V, '"1"')),
    "b": ((S, '"prod"'), (V, '"2"')),
    "c": ((S, '"dev"'), (V, '"1"')),
    "d": ((V, "1"),),
    "e": (),
}


def host(name: str, labels: Labels, zone: str = "") -> Host:
    return Host(name, name, endpoint(1, lb_metadata=labels), 0, ("", zone, ""))


def made(hosts: Sequence[Host] | None = None, weights: dict[str, int] | None = None, **subsets: Any) -> Subset:
    members = [host(name, labels) for name, labels in HOSTS.items()] if hosts is None else hosts
    found = tuple(LocalityEndpoints((), zone=zone, weight=weight) for zone, weight in (weights or {}).items())
    config = Cluster(
        "c",
        ClusterType.STATIC,
        healthy_panic_threshold=0.0,
        subsets=Subsets(**subsets),
        locality_weighted=bool(weights),
    )
    balancer = balancer_of(
        config, Members(members, ClusterLoadAssignment("c", found)), lambda: 0.0, Counters("cluster.c")
    )
    assert isinstance(balancer, Subset)
    return balancer


def chosen(balancer: Subset, *labels: tuple[str, str], number: int = 30) -> str:
    context = PickContext(0.0)
    context.labels = labels
    return "".join(sorted({found.name if (found := balancer.pick(context)) else "-" for _ in range(number)}))


BOTH = (SubsetSelector((V, S)), SubsetSelector((V,)))
ASKED = [
    ("one label", {}, ((V, '"1"'),), "ac"),
    ("a number is no text", {}, ((V, "1"),), "d"),
    ("two labels", {}, ((S, '"dev"'), (V, '"1"')), "c"),
    ("keys that nobody selects by", {}, ((S, '"dev"'),), "-"),
    ("a value that is not there", {}, ((V, '"3"'),), "-"),
    ("no labels", {}, (), "-"),
    ("any", {"fallback": "ANY_ENDPOINT"}, ((V, '"3"'),), "abcde"),
    ("any, without labels", {"fallback": "ANY_ENDPOINT"}, (), "abcde"),
    ("a default", {"fallback": "DEFAULT_SUBSET", "default_subset": ((V, '"2"'),)}, ((V, '"3"'),), "b"),
    ("a default that nobody has", {"fallback": "DEFAULT_SUBSET", "default_subset": ((V, '"9"'),)}, (), "-"),
    (
        "panic", {"fallback": "DEFAULT_SUBSET", "default_subset": ((V, '"9"'),), "panic_mode_any": True}, (), "abcde",
    ),
    ("no panic without a fallback", {"panic_mode_any": True}, ((V, '"3"'),), "-"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "labels", "expected"), [row[1:] for row in ASKED], ids=[row[0] for row in ASKED])
def test_a_request_goes_to_its_subset_or_to_the_fallback(fields: dict[str, Any], labels: Labels, expected: str) -> None:
    assert chosen(made(selectors=BOTH, **fields), *labels) == expected


SELECTORS = [
    ("NOT_DEFINED", (), "abcde"),
    ("NO_FALLBACK", (), "-"),
    ("ANY_ENDPOINT", (), "abcde"),
    ("DEFAULT_SUBSET", (), "b"),
    ("KEYS_SUBSET", (V,), "ac"),
]


@pytest.mark.parametrize(("fallback", "keys", "expected"), SELECTORS)
def test_a_selector_may_have_a_fallback_of_its_own(fallback: str, keys: tuple[str, ...], expected: str) -> None:
    selectors = (SubsetSelector((V, S), fallback, keys), SubsetSelector((V,)))
    balancer = made(selectors=selectors, fallback="ANY_ENDPOINT", default_subset=((V, '"2"'),))
    assert chosen(balancer, (S, '"qa"'), (V, '"1"')) == expected


def test_a_list_may_stand_for_each_of_its_items() -> None:
    members = [host("a", ((V, '["1","2"]'),)), host("b", ((V, '"2"'),))]
    balancer = made(members, selectors=(SubsetSelector((V,)),), list_as_any=True)
    assert [chosen(balancer, (V, value)) for value in ('"1"', '"2"', '["1","2"]')] == ["a", "ab", "-"]
    plain = made(members, selectors=(SubsetSelector((V,)),))
    assert [chosen(plain, (V, value)) for value in ('"1"', '"2"', '["1","2"]')] == ["-", "b", "a"]


def test_one_host_may_be_all_of_a_subset() -> None:
    balancer = made(selectors=(SubsetSelector((V,), single_host=True),))
    assert chosen(balancer, (V, '"1"')) == "a"
    assert balancer.counters.values["lb_subsets_single_host_per_subset_duplicate"] == 1


def test_subsets_are_counted_and_follow_the_hosts() -> None:
    balancer = made(selectors=(SubsetSelector((V,)),))
    chosen(balancer, (V, '"1"'), number=3)
    assert balancer.active() == 3
    counters = balancer.counters.values
    assert (counters["lb_subsets_created"], counters["lb_subsets_selected"]) == (3, 3)
    balancer.replace(balancer.config, Members([host("a", HOSTS["a"]), host("f", HOSTS["a"])]))
    assert chosen(balancer, (V, '"1"')) == "af"
    assert (balancer.active(), counters["lb_subsets_removed"]) == (1, 2)
    balancer.members.hosts[0].ejected_until = 1.0
    balancer.refresh()
    assert chosen(balancer, (V, '"1"')) == "f"


@pytest.mark.parametrize(
    ("fields", "share"),
    [
        ({}, 0.25),
        ({"locality_weight_aware": True}, 0.5),
        ({"locality_weight_aware": True, "scale_locality_weight": True}, 0.2),
    ],
)
def test_localities_keep_their_weights_where_that_is_asked_for(fields: dict[str, bool], share: float) -> None:
    """Four hosts in one zone, all of which are in the subset; of the other, one of four is."""
    near = [host(f"n{number}", ((V, '"1"'),), "near") for number in range(3)]
    far = [host("f", ((V, '"1"'),), "far"), *(host(f"x{number}", (), "far") for number in range(3))]
    balancer = made([*near, *far], {"near": 4, "far": 4}, selectors=(SubsetSelector((V,)),), **fields)
    context = PickContext(0.0)
    context.labels = ((V, '"1"'),)
    found = [one.name for _ in range(1000) if (one := balancer.pick(context)) is not None]
    assert found.count("f") / len(found) == pytest.approx(share, abs=0.02)

"""Which requests two meshes treat differently."""

import json

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_simulation import Mesh, behaviour_diff
from mesh_simulation.samples import near, of_pattern
from tests.unit.mesh_simulation.meshes import GATEWAY, OBJECTS, SUBSETS, mesh, virtual_service
from tests.unit.mesh_simulation.test_security import NO_ADMIN, VIEWER

PLAIN = virtual_service("[{route: [{destination: {host: reviews, subset: v1}}]}]")


def changes(old: str | tuple[str, ...], new: str | tuple[str, ...]) -> list[str]:
    """The changes as lines."""
    sides = [(SUBSETS, *((text,) if isinstance(text, str) else text)) for text in (old, new)]
    return [str(change) for change in behaviour_diff(*(mesh(*(text for text in side if text)) for side in sides))]


def rules(*texts: str) -> str:
    return virtual_service("[" + ", ".join(texts) + "]")


TO_V1, TO_V2 = (
    "{route: [{destination: {host: reviews, subset: v1}}]}",
    "{route: [{destination: {host: reviews, subset: v2}}]}",
)


def when(match: str, then: str = TO_V2) -> str:
    return "{match: [" + match + "], " + then[1:]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (rules(TO_V1), rules(TO_V2), "200 reviews.default:9080 v1 -> 200 reviews.default:9080 v2"),
        ("", rules(TO_V2), "200 reviews.default:9080 -> 200 reviews.default:9080 v2"),
        (rules(TO_V1), rules(when("{headers: {x-user: {exact: jason}}}"), TO_V1), "-H 'x-user: jason'"),
        (rules(TO_V1), rules(when("{uri: {prefix: /v2}}"), TO_V1), ":9080/v2 "),
        (rules(when("{uri: {prefix: /v2}}"), TO_V1), rules(when("{uri: {prefix: /v2/}}"), TO_V1), ":9080/v2 "),
        (rules(when("{uri: {exact: /a}}"), TO_V1), rules(when("{uri: {prefix: /a}}"), TO_V1), ":9080/ax "),
        (rules(when("{uri: {regex: '/[a-c]+/x'}}"), TO_V1), rules(TO_V1), ":9080/a/x "),
        (rules(when("{method: {exact: PUT}}"), TO_V1), rules(TO_V1), "PUT http://reviews"),
        (rules(when("{queryParams: {q: {exact: '1'}}}"), TO_V1), rules(TO_V1), "?q=1"),
        (rules(when("{withoutHeaders: {x: {exact: '1'}}}"), TO_V1), rules(TO_V2), "-H 'x: 1'"),
        (rules(TO_V1), rules("{timeout: 2s, " + TO_V1[1:]), "no timeout -> 200 reviews.default:9080 v1, timeout 2 s"),
        (rules(TO_V1), rules("{directResponse: {status: 503}}"), "-> 503 direct_response"),
        (rules(TO_V1), rules("{rewrite: {uri: /x}, " + TO_V1[1:]), "as reviews.default.svc.cluster.local:9080/x"),
        ((rules(TO_V1), VIEWER), rules(TO_V1), "(403 by default/viewer) -> 200"),
        (rules(TO_V1), (rules(TO_V1), NO_ADMIN), "/admin "),
        (
            (rules(TO_V1), VIEWER),
            (rules(TO_V1), VIEWER.replace("sa/client", "sa/nobody-yet")),
            "as cluster.local/ns/default/sa/nobody-yet",
        ),
    ],
)
def test_a_change_is_shown_by_an_example(old: str | tuple[str, ...], new: str | tuple[str, ...], expected: str) -> None:
    found = changes(old, new)
    assert any(expected in line for line in found), found


def test_what_means_the_same_changes_nothing() -> None:
    assert changes(PLAIN, PLAIN) == []
    assert changes(PLAIN, PLAIN.replace("[{route", "[{name: main, route")) == []
    twice = rules(when("{uri: {prefix: /v2}}"), when("{uri: {prefix: /v2/x}}"), TO_V1)
    assert changes(rules(when("{uri: {prefix: /v2}}"), TO_V1), twice) == []


def test_through_a_gateway() -> None:
    bound = [
        text.replace("hosts: [reviews]", "hosts: [shop.example.com], gateways: [shop]").replace(
            "host: reviews,", "host: reviews, port: {number: 9080},"
        )
        for text in (rules(when("{uri: {prefix: /r}}")), rules(when("{uri: {prefix: /s}}")))
    ]
    found = changes((GATEWAY, bound[0]), (GATEWAY, bound[1]))
    wanted = "http://shop.example.com/r from outside via default/shop: 200 reviews.default:9080 v2 -> 404 NR"
    assert any(wanted in line for line in found), found


def test_sources_that_are_told_apart_are_tried() -> None:
    chosen = "{match: [{sourceLabels: {app: client}}], " + TO_V2[1:]
    found = changes(rules(TO_V1), rules(chosen, TO_V1))
    assert len(found) == 2  # one for each port
    assert all("from client.default" in line for line in found)


def test_a_workload_that_is_gone_is_a_change_of_status() -> None:
    old, new = mesh(SUBSETS, rules(TO_V2)), mesh(SUBSETS, rules(TO_V2))
    kept = tuple(w for w in new.world.workloads if w.name != "reviews-v2")
    from dataclasses import replace

    found = behaviour_diff(old, replace(new, world=replace(new.world, workloads=kept)))
    assert any(change.after.flags == "UH" for change in found)


def test_the_order_and_the_json_are_the_same_each_time() -> None:
    pair = mesh(SUBSETS, rules(TO_V1)), mesh(SUBSETS, rules(when("{uri: {prefix: /a}}"), TO_V1), NO_ADMIN)
    first, second = ([json.dumps(change.to_json()) for change in behaviour_diff(*pair)] for _ in range(2))
    assert first
    assert first == second
    assert {"request", "what", "before", "after", "similar", "text"} == set(json.loads(first[0]))


@given(st.sampled_from(["exact", "prefix", "suffix"]), st.text(st.sampled_from("ab/"), min_size=1, max_size=4))
@settings(max_examples=60)
def test_samples_meet_the_condition_first_and_miss_it_once(kind: str, value: str) -> None:
    holds = {"exact": value.__eq__, "prefix": lambda t: t.startswith(value), "suffix": lambda t: t.endswith(value)}[
        kind
    ]
    found = list(near(kind, value))
    assert holds(found[0])
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    "pattern",
    [
        "a+",
        "/v[0-9]+/.*",
        "(foo|bar)baz",
        r"\d{3}-\w*",
        "[^a]b?",
        "(?i)x",
        "(?:a|b)+c",
        ".*",
        "^/x$",
        r"a\.b",
        "",
        "(?P<n>ab)c",
    ],
)
def test_samples_of_patterns_match_them(pattern: str) -> None:
    sample = of_pattern(pattern)
    assert sample is not None
    assert re2.fullmatch(pattern, sample)


def test_a_gateway_that_goes_is_told() -> None:
    routes = rules(TO_V1).replace("hosts: [reviews]", "hosts: [shop.example.com], gateways: [shop]")
    found = changes((GATEWAY, routes), routes)
    assert any("via default/shop" in line and "closed via: there is no Gateway default/shop" in line for line in found)
    assert any("closed via: there is no Gateway default/shop" in line for line in changes((GATEWAY, routes), ""))


def test_a_mesh_that_goes_is_told() -> None:
    whole = Mesh.read([("whole", OBJECTS)])
    lines = [str(change) for change in behaviour_diff(whole, Mesh.of())]
    assert any("200 reviews.default:9080 -> closed source: there is no workload" in line for line in lines)


def test_pods_of_other_names_are_no_change() -> None:
    """And what changes beside them is still seen."""
    old, new = OBJECTS, OBJECTS.replace("{name: client, labels", "{name: client-7f9c, labels")
    assert behaviour_diff(Mesh.read([("old", old)]), Mesh.read([("new", new)])) == []
    moved = Mesh.read([("new", new), ("policy", rules("{directResponse: {status: 503}}"))])
    assert any("-> 503" in str(change) for change in behaviour_diff(Mesh.read([("old", old)]), moved))

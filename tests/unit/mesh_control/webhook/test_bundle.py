"""Replicas with authorities of their own, whose roots come and go at different times, keep one ``caBundle``."""

import copy
import json
import time
from collections.abc import Sequence
from typing import Any

import pytest

from mesh_control.ca import pem
from mesh_control.ca.certificates import make_root
from mesh_control.webhook import claims
from mesh_control.webhook.bundle import bundle_of, patch_of, united
from mesh_control.webhook.manifest import NAME, client_of, configuration

NOW = 1_790_000_000.0
HOUR = claims.GOOD_SECONDS


@pytest.fixture(scope="module")
def roots() -> Sequence[str]:
    return tuple(
        pem.write_certificates((make_root("cluster.local", pem.new_key(), time.time()).certificate,)) for _ in range(4)
    )


class Server:
    """The one object at an API server: what patches make of it."""

    def __init__(self, bundle: str) -> None:
        made = configuration(bundle, client_of("https://192.0.2.1"))
        self.value: dict[str, Any] = {**made, "metadata": {**made["metadata"], "resourceVersion": "1"}}
        self.writes = 0

    def turn(self, replica: str, own: str, now: float, *, leads: bool = False) -> None:
        self.write(patch_of(self.value, own, replica, now, leads=leads))

    def write(self, patch: dict[str, Any] | None) -> None:
        if patch is None:
            return
        value = copy.deepcopy(self.value)
        metadata = value["metadata"]
        assert patch["metadata"]["resourceVersion"] == metadata["resourceVersion"], "somebody wrote in between"
        annotations = {**metadata.get("annotations", {}), **patch["metadata"].get("annotations", {})}
        metadata["annotations"] = {name: text for name, text in annotations.items() if text is not None}
        (hook,) = patch["webhooks"]
        assert hook["name"] == NAME
        value["webhooks"][0]["clientConfig"] |= hook["clientConfig"]
        self.writes += 1
        metadata["resourceVersion"] = str(self.writes + 1)
        self.value = value

    @property
    def roots(self) -> set[str]:
        found = bundle_of(self.value)
        assert found is not None
        return {pem.write_certificates((root,)) for root in pem.read_certificates(found)}


def test_the_bundle_has_the_roots_of_every_replica_whoever_leads(roots: Sequence[str]) -> None:
    server = Server(roots[0])
    for leader in ("a", "b"):
        server.turn("a", roots[0], NOW, leads=leader == "a")
        server.turn("b", roots[1], NOW, leads=leader == "b")
        assert server.roots == {roots[0], roots[1]}
    assert server.writes == 2, "nothing is written of what is there"


def test_a_root_goes_when_no_replica_needs_it_any_more(roots: Sequence[str]) -> None:
    server = Server(roots[0])
    server.turn("a", roots[0], NOW, leads=True)
    server.turn("b", roots[0], NOW)
    server.turn("b", united(roots[0], roots[1]), NOW + 1)  # its next root, beside the former
    server.turn("a", roots[2], NOW + 2, leads=True)  # distrusts the former at once
    assert server.roots == set(roots[:3]), "b still answers with the former one"
    server.turn("b", roots[1], NOW + 3)
    assert server.roots == set(roots[:3]), "who does not lead takes nothing away"
    server.turn("a", roots[2], NOW + 4, leads=True)
    assert server.roots == {roots[1], roots[2]}


def test_the_roots_of_a_replica_that_is_gone_are_kept_for_an_hour(roots: Sequence[str]) -> None:
    server = Server(roots[0])
    server.turn("a", roots[0], NOW, leads=True)
    server.turn("gone", roots[1], NOW)
    server.turn("a", roots[0], NOW + HOUR - 1, leads=True)
    assert server.roots == {roots[0], roots[1]}
    server.turn("a", roots[0], NOW + HOUR, leads=True)
    assert server.roots == {roots[0]}
    assert set(server.value["metadata"]["annotations"]) == {claims.place_of("a")}


def test_a_replica_says_again_what_it_needs_before_that_runs_out(roots: Sequence[str]) -> None:
    server = Server(roots[0])
    for minutes in range(0, 240, 10):
        now = NOW + minutes * 60
        server.turn("a", roots[0], now, leads=True)
        server.turn("b", roots[1], now)
        assert server.roots == {roots[0], roots[1]}
    assert server.writes == 16, "each of two, every half hour"


def test_what_somebody_else_made_of_the_bundle_is_mended_by_each_for_itself(roots: Sequence[str]) -> None:
    server = Server(roots[0])
    server.turn("a", roots[0], NOW, leads=True)
    server.turn("b", roots[1], NOW)
    server.value["webhooks"][0]["clientConfig"]["caBundle"] = "bm90aGluZw=="
    server.turn("b", roots[1], NOW)
    server.turn("a", roots[0], NOW, leads=True)
    assert server.roots == {roots[0], roots[1]}


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"roots": 1, "until": 2, "replica": ""}', '{"roots": [], "until": "x"}']
)
def test_a_claim_that_cannot_be_read_is_none_and_goes(text: str, roots: Sequence[str]) -> None:
    server = Server(united(roots[0], roots[1]))
    server.value["metadata"]["annotations"] = {claims.place_of("b"): text, "other": "stays"}
    server.turn("a", roots[0], NOW)
    assert server.roots == {roots[0], roots[1]}
    server.turn("a", roots[0], NOW, leads=True)
    assert server.roots == {roots[0]}
    assert set(server.value["metadata"]["annotations"]) == {claims.place_of("a"), "other"}


def test_two_that_write_at_once_do_not_undo_each_other(roots: Sequence[str]) -> None:
    server = Server(roots[0])
    late = patch_of(server.value, roots[1], "b", NOW, leads=True)
    server.turn("a", roots[0], NOW, leads=True)
    with pytest.raises(AssertionError, match="in between"):  # 409 at a real one
        server.write(late)
    server.turn("b", roots[1], NOW, leads=True)
    assert server.roots == {roots[0], roots[1]}


def test_a_claim_tells_people_whose_it_is(roots: Sequence[str]) -> None:
    server = Server(roots[0])
    name = "control-plane-" + "x" * 80
    server.turn(name, roots[0], NOW)
    ((place, text),) = server.value["metadata"]["annotations"].items()
    assert len(place.partition("/")[2]) <= 63
    assert json.loads(text)["replica"] == name

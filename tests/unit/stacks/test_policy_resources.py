"""Typed policies as Pulumi resources: a set at our control plane, objects in a cluster. Pulumi's engine is mocked."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pulumi
import pytest
import yaml
from pulumi.runtime import mocks, settings

from mesh_policy import CanaryRelease, Policy, Traffic, load_documents
from mesh_policy.releases import Weight
from mesh_policy.releases.machine import Rollout
from stacks.environment import InvalidEnvironmentError
from stacks.layers.custom_resources import CustomResources
from stacks.layers.policies import Policies
from stacks.layers.releases import Releases
from stacks.program import refuse_shared

CANARY = Traffic(CanaryRelease(service="books", stable="v1", candidate="v2", weight=10)).expand()
MANAGED = {"pulumi.com/patchFieldManager": "meshwright"}
CONTROL = {"place": {"kind": "here"}, "command": "mesh", "socket": "control.sock"}


class Engine(mocks.Mocks):
    """Remembers what was registered, in its order."""

    def __init__(self) -> None:
        self.registered: list[mocks.MockResourceArgs] = []

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[Any, Any]]:
        self.registered.append(args)
        return f"{args.name}-id", dict(args.inputs)

    def call(self, args: mocks.MockCallArgs) -> dict[Any, Any]:
        raise AssertionError(f"nothing is asked for: {args.token}")

    def of_type(self, part: str) -> list[mocks.MockResourceArgs]:
        return [args for args in self.registered if part in args.typ]


@pytest.fixture
def run() -> Iterator[Callable[[Callable[[], object]], Engine]]:
    """Runs a piece of a program against a mocked engine, to its end."""
    engine = Engine()

    def program(make: Callable[[], object]) -> Engine:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        mocks.set_mocks(engine, project="meshwright", stack="local", preview=False)
        try:
            pulumi.runtime.test(make)()
        finally:
            loop.close()
            asyncio.set_event_loop(None)
        return engine

    yield program
    settings.reset_options()


Run = Callable[[Callable[[], object]], Engine]


def test_a_control_plane_gets_the_set_as_one_resource(run: Run) -> None:
    engine = run(lambda: Policies(owner="local", policies=CANARY, control=CONTROL, wait_seconds=30.0))
    (made,) = engine.of_type("dynamic")
    texts = made.inputs["documents"]
    assert sorted(texts) == ["DestinationRule default/books", "VirtualService default/books"]
    assert [load_documents(texts[name]) for name in sorted(texts)] == [[policy] for policy in CANARY]
    assert made.inputs["owner"] == "local"


def test_a_release_is_a_resource_of_its_own(run: Run) -> None:
    release = CanaryRelease(service="books", stable="v1", candidate="v2", steps=[Weight(5, hold="2m")])
    engine = run(lambda: Releases(rollouts=Traffic(release).rollouts(), control=CONTROL, wait_seconds=60.0))
    (made,) = engine.of_type("dynamic")
    assert made.name == "release/books.default"
    assert Rollout.model_validate(made.inputs["rollout"]) == Rollout(release=release)
    assert made.inputs["wait_seconds"] == 60.0


def test_what_a_release_makes_is_not_a_policy_of_the_stack_too() -> None:
    release = CanaryRelease(service="books", stable="v1", candidate="v2", steps=[Weight(5)])
    others = Traffic(CanaryRelease(service="other", stable="v1", candidate="v2", weight=1)).expand()
    refuse_shared(others, Traffic(release).rollouts())
    with pytest.raises(InvalidEnvironmentError, match="DestinationRule default/books is also made by the release"):
        refuse_shared(CANARY, Traffic(release).rollouts())


def test_a_service_has_one_release() -> None:
    release = CanaryRelease(service="books", stable="v1", candidate="v2", steps=[Weight(5)])
    other = release.model_copy(update={"candidate": "v3"})
    with pytest.raises(InvalidEnvironmentError, match=r"releases: books.default has two"):
        refuse_shared([], [Rollout(release=release), Rollout(release=other)])


def test_what_a_release_says_must_not_contradict_the_policies() -> None:
    release = CanaryRelease(service="books", stable="v1", candidate="v2", steps=[Weight(5)])
    spec = {"hosts": ["books.default.svc.cluster.local"], "http": [{"directResponse": {"status": 418}}]}
    teapot = load_documents(
        yaml.safe_dump(
            {
                "apiVersion": "networking.istio.io/v1",
                "kind": "VirtualService",
                "metadata": {"name": "teapot", "namespace": "default"},
                "spec": spec,
            }
        )
    )
    refuse_shared(teapot, [])
    with pytest.raises(InvalidEnvironmentError, match=r"releases: they contradict what else is said:\n.*books"):
        refuse_shared(teapot, Traffic(release).rollouts())


def test_a_cluster_gets_one_object_for_each_policy(run: Run) -> None:
    engine = run(lambda: CustomResources("policies", policies=CANARY))
    made = engine.of_type("networking.istio.io")
    assert [args.typ for args in made] == [
        "kubernetes:networking.istio.io/v1:DestinationRule",
        "kubernetes:networking.istio.io/v1:VirtualService",
    ]
    for args, policy in zip(made, CANARY, strict=True):
        document = policy.to_document()
        assert args.inputs["spec"] == document["spec"]
        assert args.inputs["metadata"] == document["metadata"] | {"annotations": MANAGED}


def test_routes_come_after_what_they_name(run: Run) -> None:
    """Whatever the order of the list: a route to a subset that is not there yet answers 503."""
    engine = run(lambda: CustomResources("policies", policies=list(reversed(CANARY))))
    assert [args.name for args in engine.of_type("istio.io")] == [
        "DestinationRule default/books",
        "VirtualService default/books",
    ]


def test_contradictions_are_told_before_the_cluster_is_asked(run: Run) -> None:
    with pytest.raises(pulumi.RunError, match=r"MESH0003.*DestinationRule default/books"):
        run(lambda: CustomResources("policies", policies=[*CANARY, CANARY[0]]))


def test_labels_and_annotations_are_kept(run: Run) -> None:
    text = yaml.safe_dump(
        CANARY[0].to_document() | {"metadata": {"name": "b", "labels": {"a": "b"}, "annotations": {"c": "d"}}}
    )
    policies: list[Policy] = load_documents(text)
    engine = run(lambda: CustomResources("policies", policies=policies))
    (made,) = engine.of_type("istio.io")
    assert made.inputs["metadata"] == {
        "name": "b",
        "namespace": "default",
        "labels": {"a": "b"},
        "annotations": {"c": "d", **MANAGED},
    }

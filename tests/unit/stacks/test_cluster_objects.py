"""Manifests as resources of pulumi-kubernetes: their order, their classes, their field manager. Pulumi's engine is mocked."""

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks, settings

from stacks.layers.cluster_objects import FIELD_MANAGER, ClusterObjects, have_plugin, provider, stages
from stacks.render import ROOT


class Engine(mocks.Mocks):
    """Remembers what was registered, in its order."""

    def __init__(self) -> None:
        self.registered: list[mocks.MockResourceArgs] = []

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[Any, Any]]:
        self.registered.append(args)
        return f"{args.name}-id", dict(args.inputs)

    def call(self, args: mocks.MockCallArgs) -> dict[Any, Any]:
        raise AssertionError(f"nothing is asked for: {args.token}")


Run = Callable[[list[Any]], list[mocks.MockResourceArgs]]


@pytest.fixture
def run() -> Iterator[Run]:
    """Registers manifests against a mocked engine; gives the provider and the objects."""
    engine = Engine()

    def program(manifests: list[Any]) -> list[mocks.MockResourceArgs]:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        mocks.set_mocks(engine, project="meshwright", stack="local", preview=False)
        try:
            made = provider("/login")
            pulumi.runtime.test(lambda: ClusterObjects("mesh", manifests=manifests, provider=made))()
        finally:
            loop.close()
            asyncio.set_event_loop(None)
        return [args for args in engine.registered if "kubernetes" in args.typ]

    yield program
    settings.reset_options()


def manifest(kind: str, version: str = "v1", name: str = "a", **more: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **more}


def test_objects_come_in_the_order_in_which_they_need_each_other(run: Run) -> None:
    manifests = [
        manifest("ValidatingWebhookConfiguration", "admissionregistration.k8s.io/v1", webhooks=[]),
        manifest("Deployment", "apps/v1", spec={}),
        manifest("Gateway", "networking.istio.io/v1", spec={}),
        manifest("Service", spec={}),
        manifest("ServiceAccount"),
        manifest("CustomResourceDefinition", "apiextensions.k8s.io/v1", spec={}),
        manifest("Namespace"),
    ]
    _provider, *made = run(manifests)
    names = [args.name for args in made]  # within a stage they come in any order
    assert [set(names[:2]), set(names[2:4]), set(names[4:6]), set(names[6:])] == [
        {"CustomResourceDefinition a", "Namespace a"},
        {"Gateway a", "ServiceAccount a"},
        {"Deployment a", "Service a"},
        {"ValidatingWebhookConfiguration a"},
    ]
    assert {"kubernetes:networking.istio.io/v1:Gateway", "kubernetes:core/v1:ServiceAccount"} < {
        args.typ for args in made
    }


def test_an_empty_stage_is_none() -> None:
    assert [len(stage) for stage in stages([manifest("ConfigMap"), manifest("Job", "batch/v1")])] == [1, 1]


def test_every_field_reaches_the_object_and_its_manager_with_it(run: Run) -> None:
    binding = manifest(
        "ClusterRoleBinding",
        "rbac.authorization.k8s.io/v1",
        roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        subjects=[{"kind": "User", "name": "somebody"}],
    )
    binding["metadata"]["annotations"] = {"a": "b"}
    made = run([binding])[1]
    assert made.inputs["roleRef"] == binding["roleRef"]
    assert made.inputs["subjects"] == binding["subjects"]
    assert made.inputs["metadata"]["annotations"] == {"a": "b", "pulumi.com/patchFieldManager": FIELD_MANAGER}
    assert binding["metadata"]["annotations"] == {"a": "b"}


def test_definitions_keep_their_schema_as_it_is_written(run: Run) -> None:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"some_name": {"not": {}}}}
    spec = {"group": "example.com", "versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}]}
    made = run([manifest("CustomResourceDefinition", "apiextensions.k8s.io/v1", spec=spec)])[1]
    assert made.inputs["spec"] == spec


def test_the_provider_takes_over_what_is_there(run: Run) -> None:
    (made,) = run([])
    assert made.typ == "pulumi:providers:kubernetes"
    assert made.inputs == {
        "kubeconfig": "/login",
        "enableServerSideApply": "true",
        "enablePatchForce": "true",
        "enableConfigMapMutable": "true",
        "enableSecretMutable": "true",
        "upsertExistingObjects": "true",
    }


@pytest.mark.parametrize(
    ("manifests", "said"),
    [
        ([{"kind": "Pod", "metadata": {"name": "a"}}], r"manifests\[0\] \(Pod\): apiVersion is missing"),
        ([{"apiVersion": "v1", "kind": "Pod", "metadata": {}}], r"manifests\[0\] \(Pod\): metadata.name is missing"),
        ([{"apiVersion": "v1", "kind": "Pod"}], r"manifests\[0\] \(Pod\): metadata.name is missing"),
        ([manifest("Pod"), manifest("Pod")], r"manifests\[1\]: Pod a stands twice"),
        ([manifest("X", "example.com/v1", data={})], r"manifests\[0\]: X a: data cannot be given \(allowed: spec\)"),
        ([manifest("Pod", specification={})], "Pod a: .*specification"),
    ],
)
def test_what_is_no_object_is_refused_by_its_place(run: Run, manifests: list[Any], said: str) -> None:
    with pytest.raises(pulumi.RunError, match=said):
        run(manifests)


def test_the_chosen_plugin_is_seen_to(tmp_path: Path) -> None:
    tool = tmp_path / "tools" / "kubernetes-plugin"
    tool.parent.mkdir()
    tool.write_text('#!/bin/sh\necho "$1" >>asked\n[ "$1" = double ]\n')
    tool.chmod(0o755)
    have_plugin(tmp_path, "double")
    with pytest.raises(subprocess.CalledProcessError):
        have_plugin(tmp_path, "official")
    assert (tmp_path / "asked").read_text() == "double\nofficial\n"


def test_ansible_applies_with_the_same_field_manager() -> None:
    module = ROOT / "roles" / "kubernetes" / "library" / "server_side_apply.py"
    assert f'"--field-manager={FIELD_MANAGER}"' in module.read_text()

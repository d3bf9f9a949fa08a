"""The layer of a whole cluster: its releases reach the control plane that is in it. Pulumi's engine is mocked."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pulumi
import pytest
from pulumi.runtime import mocks, settings

from mesh_policy import CanaryRelease
from mesh_policy.releases import Weight
from mesh_policy.releases.machine import Rollout
from stacks import control
from stacks.environments import local_kubernetes
from stacks.layers.cluster import Cluster
from stacks.layers.installed import Installed
from stacks.playbooks import KUBERNETES
from stacks.vault import SECRETS
from tests.unit.stacks.test_policy_resources import Engine

ENVIRONMENT = local_kubernetes.ENVIRONMENT
LOGIN = ".meshwright/local-kubernetes/kubeconfig"


@pytest.fixture
def engine() -> Iterator[Engine]:
    yield Engine()
    settings.reset_options()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project whose provider's program is there."""
    tool = tmp_path / "tools" / "kubernetes-plugin"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    return tmp_path


def made(engine: Engine, root: Path, *releases: Rollout) -> None:
    secrets = dict.fromkeys(SECRETS, "secret")

    def program() -> None:
        on = Installed(
            "cluster",
            environment=ENVIRONMENT.name,
            inventory="{}",
            secrets=secrets,
            digest="d",
            playbook=KUBERNETES,
            leaves=[LOGIN],
        )
        policies = local_kubernetes.policies(ENVIRONMENT)
        Cluster(
            ENVIRONMENT,
            root=root,
            login=LOGIN,
            digests={},
            secrets=secrets,
            policies=policies,
            releases=releases,
            on=on,
        )

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    mocks.set_mocks(engine, project="meshwright", stack=ENVIRONMENT.name, preview=False)
    try:
        pulumi.runtime.test(program)()
    finally:
        loop.close()
        asyncio.set_event_loop(None)


def test_a_release_is_brought_by_the_login_once_the_policies_are_in_force(engine: Engine, root: Path) -> None:
    release = CanaryRelease(service="order", stable="v1", candidate="v2", steps=[Weight(5, hold="2m")])
    made(engine, root, Rollout(release=release))
    names = [args.name for args in engine.registered]
    (found,) = [args for args in engine.registered if args.name == "release/order.default"]
    assert Rollout.model_validate(found.inputs["rollout"]) == Rollout(release=release)
    assert found.inputs["control"] == control.of_cluster(str(root / LOGIN), "istio-system")
    assert names.index("release/order.default") > max(i for i, name in enumerate(names) if name == "policies")


def test_without_a_release_nobody_is_asked(engine: Engine, root: Path) -> None:
    made(engine, root)
    assert not [args for args in engine.registered if "elease" in args.name + args.typ]

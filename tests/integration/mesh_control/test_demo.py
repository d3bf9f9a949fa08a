"""Every scenario of every environment that comes with the project: nothing is found wrong, and our own proxy runs what is
compiled for each of its proxies."""

import random
from pathlib import Path

import pytest
import yaml

from mesh_api.node import Node
from mesh_control.compiler import compile_proxy
from mesh_control.proxies import proxy_of
from mesh_control.sources.directory import PolicyDirectory
from mesh_control.sources.inventory import InventoryFile
from mesh_control.state import State
from mesh_policy import dump, load_documents
from mesh_proxy.snapshot import Builder, Snapshot
from stacks import laptop as processes
from stacks import plan
from stacks.environments import book_store, laptop, local, static

pytestmark = pytest.mark.integration

ENVIRONMENTS = {"laptop": laptop.ENVIRONMENT, "local": local.ENVIRONMENT, "static": static.ENVIRONMENT}


@pytest.mark.parametrize("scenario", book_store.SCENARIOS)
@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_proxy_runs_every_scenario(tmp_path: Path, name: str, scenario: str) -> None:
    environment = ENVIRONMENTS[name].model_copy(update={"scenario": scenario})
    intercepted = name != "laptop"
    inventory = plan.mesh_inventory(environment) if intercepted else processes.mesh_inventory(environment)
    (tmp_path / "inventory.yml").write_text(yaml.safe_dump(inventory))
    state = State(PolicyDirectory(tmp_path), (InventoryFile(tmp_path / "inventory.yml"),))
    state.reload()
    assert state.problems() == []
    candidate = state.check("demo", load_documents(dump(list(book_store.policies(environment)))))
    assert candidate.findings == []
    for proxy in plan.proxies(environment):
        metadata = proxy.metadata() if intercepted else processes.metadata(environment, proxy, tmp_path)
        node = Node(proxy.node_id, metadata=metadata, user_agent="meshwright 0.1.0")
        config = compile_proxy(candidate.world, proxy_of(node))
        assert config.listeners
        Builder(Snapshot(), random.random).build(config)

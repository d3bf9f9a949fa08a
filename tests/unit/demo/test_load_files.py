"""The load test's files agree with each other and with the scenario."""

import ast
from pathlib import Path

import pytest
import yaml

LOAD_TEST = Path(__file__).resolve().parents[3] / "examples" / "load-test"
RATE, SLOW_SHARE, SLOW_SECONDS, TIMEOUT_SECONDS = 20, 1 / 5, 20, 15


@pytest.mark.parametrize(("name", "generator"), [("load.yaml", "bfg"), ("load-phantom.yaml", "phantom")])
def test_the_load_is_the_scenarios(name: str, generator: str) -> None:
    config = yaml.safe_load((LOAD_TEST / name).read_text())
    assert config[generator]["load_profile"] == {"load_type": "rps", "schedule": "const(20, 10m)"}
    assert config[generator]["instances"] > RATE * SLOW_SHARE * SLOW_SECONDS, "too few to keep the rate"
    statuses = next(rule for rule in config["autostop"]["autostop"] if rule.startswith("http(5xx,"))
    window = int(statuses.rstrip(")").rsplit(",", 1)[1].strip().removesuffix("s"))
    assert window > TIMEOUT_SECONDS, "the last slow requests, all 504, would stop a test that is over"


def test_the_gun_has_what_the_ammunition_and_the_configuration_name() -> None:
    config = yaml.safe_load((LOAD_TEST / "load.yaml").read_text())["bfg"]
    tree = ast.parse((LOAD_TEST / config["gun_config"]["module_path"]).read_text())
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    methods = [
        node.name for node in classes[config["gun_config"]["class_name"]].body if isinstance(node, ast.FunctionDef)
    ]
    for line in (LOAD_TEST / config["ammofile"]).read_text().splitlines():
        method, path = line.split("\t")
        assert method in methods
        assert path == "/api/v1/books"

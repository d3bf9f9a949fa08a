"""The environment in which Pulumi runs."""

import stat
from pathlib import Path

import pytest
from meshwright_tools import pulumi_run
from meshwright_tools.checkout import Checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "checkout", tmp_path / "cache")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_state_and_passphrase_are_the_owners_alone(checkout: Checkout) -> None:
    inner = pulumi_run.environment(checkout, Path("/programs"), {"PATH": "/usr/bin"})
    assert inner["PULUMI_BACKEND_URL"] == f"file://{checkout.state}/pulumi-state"
    passphrase = Path(inner["PULUMI_CONFIG_PASSPHRASE_FILE"])
    assert mode(checkout.state / "pulumi-state") == 0o700
    assert mode(checkout.state) == 0o700
    assert mode(passphrase) == 0o600
    assert len(passphrase.read_text().strip()) >= 32


def test_the_passphrase_is_made_once(checkout: Checkout) -> None:
    texts = {
        Path(pulumi_run.environment(checkout, Path("/p"), {})["PULUMI_CONFIG_PASSPHRASE_FILE"]).read_text()
        for _ in range(2)
    }
    assert len(texts) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PULUMI_BACKEND_URL", "s3://somewhere"),
        ("PULUMI_HOME", "/home/me/.pulumi"),
        ("PULUMI_CONFIG_PASSPHRASE", "mine"),
        ("PULUMI_CONFIG_PASSPHRASE_FILE", "/my/file"),
        ("PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION", "false"),
    ],
)
def test_what_the_user_has_set_stays(checkout: Checkout, name: str, value: str) -> None:
    inner = pulumi_run.environment(checkout, Path("/p"), {name: value})
    assert inner[name] == value


def test_a_passphrase_of_the_user_is_the_only_one(checkout: Checkout) -> None:
    inner = pulumi_run.environment(checkout, Path("/p"), {"PULUMI_CONFIG_PASSPHRASE": ""})
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" not in inner
    assert not (checkout.state / "passphrase").exists()


def test_the_environment_of_the_project_comes_first_on_path(checkout: Checkout) -> None:
    inner = pulumi_run.environment(checkout, Path("/programs"), {"PATH": "/usr/bin"})
    assert inner["PATH"].split(":") == [str(checkout.venv / "bin"), "/programs", "/usr/bin"]


def test_what_a_killed_pulumi_left_empty_is_gone(checkout: Checkout) -> None:
    pulumi_run.environment(checkout, Path("/p"), {})
    stacks = checkout.state / "pulumi-state" / "stacks"
    stacks.mkdir()
    (stacks / "local.json").touch()
    (stacks / "local.json.attrs").touch()
    (stacks / "static.json.attrs").write_text("{}")
    pulumi_run.environment(checkout, Path("/p"), {})
    assert sorted(file.name for file in stacks.iterdir()) == ["local.json", "static.json.attrs"]

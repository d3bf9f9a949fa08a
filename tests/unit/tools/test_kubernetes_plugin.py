"""Which provider of pulumi-kubernetes is used: the official one where there is one, the double only where it was chosen."""

import io
import subprocess
import tarfile
from pathlib import Path

import pytest
from meshwright_tools import kubernetes_plugin, pulumi_cli
from meshwright_tools.checkout import ROOT, Checkout
from meshwright_tools.progress import Progress, StepError

PULUMI = """#!/bin/sh
# plugin install resource kubernetes VERSION, then --file ARCHIVE or --exact
place="$PULUMI_HOME/plugins/resource-kubernetes-v$5"
rm -rf "$place"
mkdir -p "$place"
program="$place/pulumi-resource-kubernetes"
if [ "$6" = --file ]; then tar -xzf "$7" -C "$place"; else echo '#!/bin/sh' >"$program"; fi
chmod +x "$program"
echo "$@" >>"$PULUMI_HOME/asked"
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A checkout with the double's source and the pin."""
    root = tmp_path / "checkout"
    root.mkdir()
    for name in ("tools", "pyproject.toml"):
        (root / name).symlink_to(ROOT / name)
    return Checkout(root, tmp_path / "cache")


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A directory with a ``pulumi`` that installs plugins."""
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "pulumi").write_text(PULUMI)
    (folder / "pulumi").chmod(0o755)
    return folder


@pytest.fixture
def environment(checkout: Checkout) -> dict[str, str]:
    return {"PULUMI_HOME": str(checkout.state / "pulumi-home"), "PATH": "/usr/bin:/bin"}


class Setup:
    """What every test needs, with one method."""

    def __init__(self, checkout: Checkout, programs: Path, environment: dict[str, str]) -> None:
        self.checkout, self.programs, self.environment = checkout, programs, environment
        self.home = Path(environment["PULUMI_HOME"])
        self.said = io.StringIO()

    def ensure(self, choice: str) -> Path:
        return kubernetes_plugin.ensure(choice, self.checkout, self.programs, self.environment, Progress(self.said))

    def asked(self) -> list[str]:
        file = self.home / "asked"
        return file.read_text().splitlines() if file.exists() else []

    def put_official(self) -> Path:
        real = kubernetes_plugin.official(self.checkout, self.home)
        real.parent.mkdir(parents=True)
        real.write_text('#!/bin/sh\necho official "$@"\n')
        real.chmod(0o755)
        return real


@pytest.fixture
def setup(checkout: Checkout, programs: Path, environment: dict[str, str]) -> Setup:
    return Setup(checkout, programs, environment)


def test_the_double_is_installed_under_a_version_that_says_so(setup: Setup) -> None:
    program = setup.ensure("double")
    assert program.parent.name == f"resource-kubernetes-v{kubernetes_plugin.pinned_version(setup.checkout)}+double"
    assert (program.parent / "host" / "version").read_text().endswith("+double\n")
    assert "a test double" in setup.said.getvalue()
    setup.ensure("double")
    assert len(setup.asked()) == 1, "a second run has nothing to do"


def test_a_changed_double_is_installed_again(setup: Setup) -> None:
    program = setup.ensure("double")
    (program.parent / "host" / "kubernetes_provider_double" / "server.py").write_text("old")
    (program.parent / "host" / "__pycache__").mkdir()
    (program.parent / "host" / "__pycache__" / "x.pyc").touch()
    setup.ensure("double")
    assert len(setup.asked()) == 2
    assert "KubernetesDouble" in (program.parent / "host" / "kubernetes_provider_double" / "server.py").read_text()


def test_an_official_one_wins_and_the_double_goes(setup: Setup) -> None:
    stand_in = setup.ensure("double")
    real = setup.put_official()
    assert setup.ensure("double") == real
    assert not stand_in.parent.exists()
    assert "the official provider is there" in setup.said.getvalue()


def test_a_double_that_is_there_runs_an_official_one_that_came_later(setup: Setup) -> None:
    stand_in = setup.ensure("double")
    setup.put_official()
    done = subprocess.run([stand_in, "127.0.0.1:1"], capture_output=True, text=True, check=True)
    assert done.stdout == "official 127.0.0.1:1\n"


def test_the_official_one_is_downloaded_where_it_was_chosen(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi_cli, "answers", lambda _url: True)
    stand_in = setup.ensure("double")
    assert setup.ensure("official") == kubernetes_plugin.official(setup.checkout, setup.home)
    assert setup.asked()[-1].endswith("--exact --non-interactive")
    assert not stand_in.parent.exists()


def test_without_a_way_there_the_double_is_named_and_not_taken(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi_cli, "answers", lambda _url: False)
    with pytest.raises(StepError, match=r"no way to https://get.pulumi.com.*sources.pulumi_plugins: double"):
        setup.ensure("official")
    assert setup.asked() == []


def test_a_home_of_the_users_gets_no_double(setup: Setup, tmp_path: Path) -> None:
    setup.environment["PULUMI_HOME"] = str(tmp_path / "mine")
    with pytest.raises(StepError, match=r"is put into .* alone"):
        setup.ensure("double")
    assert list((tmp_path / "mine" / "plugins").glob("resource-*")) == []


def test_the_archive_has_its_program_at_the_root(checkout: Checkout) -> None:
    packed = kubernetes_plugin.archive(kubernetes_plugin.content(checkout))
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        modes = {member.name: member.mode for member in tar.getmembers()}
    assert modes["pulumi-resource-kubernetes"] == 0o755
    assert "host/meshwright_pulumi_host/engine.py" in modes


def test_the_pin_is_that_of_the_installed_package(checkout: Checkout) -> None:
    from importlib.metadata import version

    assert kubernetes_plugin.pinned_version(checkout) == version("pulumi-kubernetes")

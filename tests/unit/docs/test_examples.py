"""What the pages show works: their code runs, their commands print what stands there, their links lead somewhere."""

import doctest
import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mesh_cli.verbs import VERBS
from mesh_control.validate import COMPILED
from mesh_policy import KINDS, load_documents
from mesh_policy.releases.machine import Rollout
from stacks.environment import parse
from stacks.environments import static
from tests.unit.docs.pages import PAGES, ROOT, Block, blocks, write_files

PYTHON = [block for page in PAGES for block in blocks(page, "python")]
YAML = [block for page in PAGES for block in blocks(page, "yaml")]
POLICIES = (ROOT / "docs/policies.md").read_text()
SESSIONS = [page for page in PAGES if blocks(page, "console")]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.id)
def test_python_on_a_page_runs(block: Block, folder: Path) -> None:
    write_files(block.page, folder)
    exec(compile(block.text, block.id, "exec"), {})


@pytest.mark.parametrize("page", SESSIONS, ids=lambda page: page.name)
def test_commands_on_a_page_print_what_it_shows(page: Path, folder: Path) -> None:
    """Standard output alone, and ``...`` stands for anything, as in doctest."""
    write_files(page, folder)
    commands = [command for block in blocks(page, "console") for command in block.commands]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": "-p no:cacheprovider"}
    for command, shown in commands:
        done = subprocess.run(
            ["/bin/sh", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        fits = doctest.OutputChecker().check_output(shown, done.stdout, doctest.ELLIPSIS)
        assert fits, f"{page.name}: {command} printed\n{done.stdout}{done.stderr}"


def test_every_session_has_commands() -> None:
    assert [block.id for page in SESSIONS for block in blocks(page, "console") if not block.commands] == []


@pytest.mark.parametrize("block", YAML, ids=lambda block: block.id)
def test_yaml_on_a_page_is_taken(block: Block) -> None:
    """Settings of a stack, releases, policies. A file that is wrong on purpose says so by its name."""
    document = next(yaml.safe_load_all(block.text))
    if "config" in document:
        nodes = parse(static.ENVIRONMENT, document["config"]["meshwright:environment"]).machines.nodes
        assert len(nodes) == 3
    elif "release" in document:
        assert Rollout.model_validate(document).release.stages
    elif block.file != "wrong.yaml":
        assert load_documents(block.text)


def test_the_page_of_policies_names_every_kind_and_version() -> None:
    rows = re.findall(r"^\| `([\w.]+\w)` \| ([\w, ]+) \| ([\w, ]+) \| (\w+) \|$", POLICIES, re.MULTILINE)
    named = {
        (group, kind): (tuple(read.split(", ")), written)
        for group, kinds, read, written in rows
        for kind in kinds.split(", ")
    }
    assert named == {key: (kind.VERSIONS, kind.VERSIONS[0]) for key, kind in KINDS.items()}


def test_the_page_of_policies_names_what_comes_into_force() -> None:
    (sentence,) = re.findall(r"brings into force what it compiles: (.*?)\. It refuses", POLICIES, re.DOTALL)
    assert set(re.findall(r"[A-Z]\w+", sentence)) == {kind.KIND for kind in COMPILED}


def heading(line: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w -]", "", line.lstrip("#").strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]*)(#[^):]*)?\)", page.read_text())
    lost = []
    for link, anchor in links:
        target = page.parent / link if link else page
        if not target.exists():
            lost.append(link)
        elif anchor:
            known = {heading(line) for line in target.read_text().splitlines() if line.startswith("#")}
            lost += [link + anchor] if anchor[1:] not in known else []
    assert lost == []


def test_every_page_is_found_from_the_index() -> None:
    index = (ROOT / "docs/README.md").read_text()
    pages = [str(page.relative_to(ROOT / "docs")) for page in ROOT.glob("docs/**/*.md")]
    assert [page for page in pages if page != "README.md" and f"({page})" not in index] == []


def test_make_targets_on_the_pages_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"`make ([a-z-]+)", page.read_text())}
    assert named - targets == set()


def test_verbs_on_the_pages_exist() -> None:
    named = {name for page in PAGES for name in re.findall(r"(?:`|\$ )mesh ([a-z][a-z-]*)", page.read_text())}
    assert named - VERBS.keys() == set()


def test_images_on_the_pages_are_of_this_version() -> None:
    named = {tag for page in PAGES for tag in re.findall(r"docker\.io/meshwright/\w+:([\w.]+)", page.read_text())}
    assert named == {importlib.metadata.version("meshwright")}

"""What the pages show works: their Python runs, their links lead somewhere, their commands exist."""

import re
from pathlib import Path

import pytest
import yaml

from stacks.environment import parse
from stacks.environments import static

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
PYTHON = [
    pytest.param(code, id=f"{page.name}-{place}")
    for page in PAGES
    for place, code in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL))
]


@pytest.mark.parametrize("code", PYTHON)
def test_python_on_a_page_runs(code: str) -> None:
    exec(compile(code, "page", "exec"), {})


STACKS = [
    pytest.param(text, id=f"{page.name}-{place}")
    for page in PAGES
    for place, text in enumerate(re.findall(r"```yaml\n(config:.*?)```", page.read_text(), re.DOTALL))
]


@pytest.mark.parametrize("text", STACKS)
def test_the_settings_of_a_stack_on_a_page_are_taken(text: str) -> None:
    nodes = parse(static.ENVIRONMENT, yaml.safe_load(text)["config"]["meshwright:environment"]).machines.nodes
    assert len(nodes) == 3


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_page_is_found_from_the_index() -> None:
    index = (ROOT / "docs/README.md").read_text()
    pages = [str(page.relative_to(ROOT / "docs")) for page in ROOT.glob("docs/**/*.md")]
    assert [page for page in pages if page != "README.md" and f"({page})" not in index] == []


def test_make_targets_on_the_pages_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"`make ([a-z-]+)", page.read_text())}
    assert named - targets == set()

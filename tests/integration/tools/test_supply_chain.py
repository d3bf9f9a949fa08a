"""Bills of materials name what the locks pin, with every checksum, and are the same each time."""

import io
import json
from pathlib import Path

import pytest
from meshwright_tools import locks, supply_chain
from meshwright_tools.checkout import here
from meshwright_tools.progress import Progress

pytestmark = pytest.mark.integration


def test_a_bill_names_every_package_of_its_lock_with_its_checksums() -> None:
    checkout, progress = here(), Progress(io.StringIO())
    made = supply_chain.bills(checkout, progress)
    modules = ("pulumi-cli", "kubernetes", "kubernetes-previous", "cni-plugins", "flannel", "coredns", "addons", "kwok")
    of_modules = [f"{name}.cdx.json" for name in modules]
    assert [file.name for file in made] == [*(f"{lock.name}.cdx.json" for lock in locks.LOCKS), *of_modules]
    first = [file.read_bytes() for file in made]
    for file in made[: len(locks.LOCKS)]:
        lock = checkout.requirements / f"{file.name.removesuffix('.cdx.json')}.txt"
        assert told(file) == {(pin.name, pin.version): set(pin.hashes) for pin in locks.pins(lock.read_text())}
    assert [file.read_bytes() for file in supply_chain.bills(checkout, progress)] == first


def told(file: Path) -> dict[tuple[str, str], set[str]]:
    """Package and version to checksums, as a lock writes them."""
    found: dict[tuple[str, str], set[str]] = {}
    for component in json.loads(file.read_text())["components"]:
        hashes = found.setdefault((locks.normalised(component["name"]), component["version"]), set())
        for reference in component.get("externalReferences", ()):
            hashes |= {f"sha256:{one['content']}" for one in reference.get("hashes", ()) if one["alg"] == "SHA-256"}
    return found

"""Settings of meshes from ``tests/data/mesh``, changes of them at random, and what istiod says of them.

A change puts into a place what stands in a place of that name in another row, or an odd value for its kind; so most changed
settings are nearly right.
"""

import copy
import json
import random
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.support.istio_cases import NUMBERS, TEXTS

FOLDER = Path(__file__).parents[1] / "data" / "mesh"
KINDS = ("MeshConfig", "ProxyConfig", "MeshNetworks")
ASKED = {"MeshConfig": "mesh", "ProxyConfig": "proxy", "MeshNetworks": "networks"}
"""What ``tests/support/istio_verdicts/mesh.go`` calls them."""
Value = dict[str, Any]


@cache
def rows(kind: str, group: str) -> tuple[Value, ...]:
    """The rows that both take (``accept``), that both refuse (``refuse``), and that we alone refuse (``stricter``)."""
    (groups,) = yaml.safe_load((FOLDER / f"{kind}.yaml").read_text(encoding="utf-8"))
    return tuple(groups[group])


@dataclass(frozen=True)
class Answer:
    """What istiod says: why it refuses the settings (``None``: it does not), what it logs of providers, and its values."""

    refusal: str | None
    providers: list[str] | None
    warnings: list[str] | None
    effective: Any


@dataclass(frozen=True)
class Istiod:
    """The running program."""

    process: "subprocess.Popen[str]"

    def of(self, kind: str, text: str, base: str = "") -> Answer:
        """What is said of settings: over istiod's defaults, a proxy's over those of the mesh ``base``."""
        return self._ask(ASKED[kind], text, base)

    def same(self, kind: str, value: Mapping[str, Any]) -> Answer:
        """The values of settings that are complete, in the form of the answers of :meth:`of`."""
        return self._ask(f"same-{ASKED[kind]}", json.dumps(value))

    def schema(self) -> Any:
        """Every message with its fields."""
        return self._ask("schema", "").effective

    def _ask(self, what: str, text: str, base: str = "") -> Answer:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"ask": what, "text": text, "base": base}) + "\n---\n")
        self.process.stdin.flush()
        line = next((line for line in self.process.stdout if line.startswith("{")), "")
        assert line, f"the program ended with {self.process.wait()}"
        return Answer(**json.loads(line))


@contextmanager
def running(program: Path) -> Iterator[Istiod]:
    """The program, which answers until the end."""
    command, pipe = [str(program), "mesh"], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1) as process:
        try:
            yield Istiod(process)
        finally:
            process.kill()


def change(kind: str, value: Value, rng: random.Random) -> Value:
    """The settings with one to three changes."""
    changed = copy.deepcopy(value)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        holder = rng.choice(list(_maps(changed)))
        known = _known(kind)
        if not holder:
            holder.update(copy.deepcopy(rng.choice(rows(kind, "accept"))) if holder is changed else {})
            continue
        key = rng.choice(sorted(holder))
        match rng.randrange(8):
            case 0:
                del holder[key]
            case 1 | 2 | 3:
                holder[key] = copy.deepcopy(rng.choice(known[key]))
            case 4:
                holder |= copy.deepcopy(rng.choice(_together(kind)[key]))
            case _:
                holder[key] = _odd(holder[key], rng)
    return changed


def _maps(value: Any) -> Iterator[Value]:
    """Every map below a value."""
    if isinstance(value, dict):
        yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inner:
        yield from _maps(item)


@cache
def _known(kind: str) -> dict[str, list[Any]]:
    """Values by the name of their field."""
    found: dict[str, list[Any]] = defaultdict(list)
    for holder in _holders(kind):
        for key, value in holder.items():
            found[key].append(value)
    return found


@cache
def _together(kind: str) -> dict[str, list[Value]]:
    """Maps by the names of their fields."""
    found: dict[str, list[Value]] = defaultdict(list)
    for holder in _holders(kind):
        for key in holder:
            found[key].append(holder)
    return found


def _holders(kind: str) -> list[Value]:
    return [holder for group in ("accept", "refuse") for row in rows(kind, group) for holder in _maps(row)]


def _odd(value: Any, rng: random.Random) -> Any:
    if rng.randrange(12) == 0:
        return copy.deepcopy(rng.choice((True, "a", 1, [], {}, [{}], None, 1.5)))
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return rng.choice((*NUMBERS, "1", "01", "x", " 7"))
    if isinstance(value, list) and value:
        return [*value, _odd(rng.choice(value), rng)] if rng.randrange(2) else value[1:]
    return rng.choice(TEXTS) if isinstance(value, str) else copy.deepcopy(value)

"""What a real istiod sends to proxies: the program in ``istio_compiler``, built and asked."""

import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support import go_programs

SECTIONS = ("cds", "eds", "lds", "rds")
Answer = Mapping[str, Sequence[dict[str, Any]]]
"""Discovery service to its resources, as protobuf JSON."""


class IstiodError(Exception):
    """istiod could not be asked, and what it said."""


@dataclass(frozen=True)
class Asker:
    """A proxy that asks. ``metadata`` as in its node."""

    id: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


def ask(program: Path, worlds: Iterable[tuple[str, str]], askers: Sequence[Asker]) -> list[list[Answer]]:
    """For each world (objects and mesh configuration, both YAML) the answer to each asker."""
    asked = [{"id": asker.id, "metadata": dict(asker.metadata)} for asker in askers]
    lines = "".join(json.dumps({"objects": objects, "mesh": mesh, "nodes": asked}) + "\n" for objects, mesh in worlds)
    done = subprocess.run([str(program)], input=lines, capture_output=True, text=True, timeout=600, check=False)
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"answers"')]
    for answer in answers:
        if answer["error"]:
            raise IstiodError(answer["error"])
    if len(answers) != lines.count("\n"):
        raise IstiodError(done.stderr[-2000:])
    return [answer["answers"] for answer in answers]


def build() -> Path:
    """The program. Raises :class:`go_programs.NotBuiltError`."""
    return go_programs.build("istio_compiler")

"""What a real istiod sends to proxies: the program in ``istio_compiler``, built and asked."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

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


class Istiod:
    """The program, running: it answers in milliseconds once it has started. Use as a context manager.

    Istio keeps what it once made of the mesh's settings (loggers among it), so other settings get a process of their own.
    """

    def __init__(self, program: Path) -> None:
        self._program = program
        self._mesh = ""
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def ask(self, objects: str, mesh: str, askers: Sequence[Asker], networks: str = "") -> list[Answer]:
        """The answer to each asker in a world of objects, a mesh configuration and mesh networks, all YAML. Raises
        :class:`IstiodError`."""
        process = self._running(mesh)
        assert process.stdin is not None
        assert process.stdout is not None
        asked = [{"id": asker.id, "metadata": dict(asker.metadata)} for asker in askers]
        question = {"objects": objects, "mesh": mesh, "networks": networks, "nodes": asked}
        process.stdin.write(json.dumps(question) + "\n")
        process.stdin.flush()
        said: list[str] = []
        for line in process.stdout:
            if line.startswith('{"answers"'):
                answer = json.loads(line)
                if answer["error"]:
                    raise IstiodError(answer["error"])
                found: list[Answer] = answer["answers"]
                return found
            said.append(line)  # Istio logs there as well
        raise IstiodError("".join(said[-20:]))

    def ask_if_valid(self, objects: str, mesh: str, askers: Sequence[Asker]) -> list[Answer]:
        """The same; none where Istio's own webhook refuses the objects, which are no case then."""
        try:
            return self.ask(objects, mesh, askers)
        except IstiodError as error:
            if "configuration is invalid" in str(error):
                return []
            raise

    def _running(self, mesh: str) -> "subprocess.Popen[str]":
        if self._process is None or self._mesh != mesh:
            self.__exit__()
            self._mesh = mesh
            pipe, both = subprocess.PIPE, subprocess.STDOUT
            self._process = subprocess.Popen([str(self._program)], stdin=pipe, stdout=pipe, stderr=both, text=True)
        return self._process


def build() -> Path:
    """The program. Raises :class:`go_programs.NotBuiltError`."""
    return go_programs.build("istio_compiler")

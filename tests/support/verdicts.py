"""What the code of Istio and of Kubernetes say of an object: the program in ``istio_verdicts``, built and kept running."""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Verdict:
    """The errors of Istio's webhook and of kube-apiserver (``None``: accepted), and the webhook's warnings."""

    webhook: str | None
    warnings: Sequence[str] | None
    schema: str | None


@dataclass(frozen=True)
class Verdicts:
    """The running program."""

    process: "subprocess.Popen[str]"

    def of(self, document: Mapping[str, Any]) -> Verdict:
        """What is said of one object."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(document) + "\n---\n")
        self.process.stdin.flush()
        line = next(
            (line for line in self.process.stdout if line.startswith("{")), ""
        )  # Istio warns there at its start
        assert line, f"the program ended with {self.process.wait()}"
        return Verdict(**json.loads(line))


def values(program: Path, documents: Sequence[str]) -> list[Any]:
    """The values that Kubernetes' code reads in YAML documents; ``None`` for one that it does not take."""
    done = subprocess.run(
        [str(program), "values"],
        input="\n---\n".join(documents),
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    return [json.loads(line)["value"] for line in done.stdout.splitlines() if line.startswith("{")]


@contextmanager
def running(program: Path, definitions: Sequence[Path] = ()) -> Iterator[Verdicts]:
    """The program with further CustomResourceDefinitions."""
    command = [str(program), *map(str, definitions)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        try:
            yield Verdicts(process)
        finally:
            process.kill()

"""What Istio's analyzers find in files: the program in ``istio_analyzers``, built and asked. Unlike ``istioctl analyze`` it
looks at the Services, Pods, Namespaces and Secrets among them as well."""

import json
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml

from tests.support import go_programs

SOURCE = go_programs.HERE / "istio_analyzers"
CLUSTER_WIDE = {"Namespace", "Node", "CustomResourceDefinition", "MutatingWebhookConfiguration"}
CLUSTER_WIDE |= {"ValidatingWebhookConfiguration", "MeshConfig", "MeshNetworks"}
Found = frozenset[tuple[str, str]]
"""Code and ``KIND NAMESPACE/NAME`` of each message."""


def testdata() -> Path | None:
    """The files that Istio tests its analyzers with, where its module is in Go's cache."""
    istio = go_programs.module("istio.io/istio", SOURCE)
    folder = None if istio is None else istio / "pkg/config/analysis/analyzers/testdata"
    return folder if folder is not None and folder.is_dir() else None


def ask(program: Path, sets: Iterable[Sequence[Path]]) -> list[Found]:
    """What is found in each set of files."""
    lines = "".join("\t".join(map(str, files)) + "\n" for files in sets)
    done = subprocess.run([str(program)], input=lines, capture_output=True, text=True, timeout=300, check=True)
    answers = [
        json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")
    ]  # Istio logs there as well
    return [frozenset((m["code"], subject(m["origin"])) for m in answer["messages"]) for answer in answers]


def subject(origin: str) -> str:
    """``KIND NAMESPACE/NAME``, where Istio leaves out a namespace that is not written."""
    kind, _, name = origin.partition(" ")
    return origin if "/" in name or kind in CLUSTER_WIDE else f"{kind} default/{name}"


def written_out(text: str) -> str:
    """The documents with their namespaces: without one Istio takes an object for one of no namespace."""
    documents = []
    for document in yaml.safe_load_all(text):
        items = document["items"] if document and str(document.get("kind", "")).endswith("List") else [document]
        for item in items:
            if not item or "kind" not in item:
                continue
            if item["kind"] not in CLUSTER_WIDE:
                item.setdefault("metadata", {}).setdefault("namespace", "default")
            documents.append(yaml.safe_dump(item, sort_keys=False))
    return "---\n".join(documents)

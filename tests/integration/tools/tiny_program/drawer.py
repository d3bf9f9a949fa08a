"""A dynamic resource: a file on this machine."""

import os
from pathlib import Path
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult


class DrawerProvider(ResourceProvider):
    """Keeps ``content`` in the file ``path``; with ``gate`` set, creation waits until that FIFO has had a writer."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        gate = props.get("gate")
        if gate and os.path.exists(gate):
            with open(gate) as fifo:
                fifo.read()
        Path(props["path"]).write_text(props["content"])
        return CreateResult(props["path"], dict(props))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        path = Path(props["path"])
        if not path.exists():
            return ReadResult("", {})
        return ReadResult(id_, {**props, "content": path.read_text()})

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        changed = [name for name in ("path", "content") if olds.get(name) != news.get(name)]
        return DiffResult(changes=bool(changed), replaces=["path"] if "path" in changed else [])

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        Path(news["path"]).write_text(news["content"])
        return UpdateResult(dict(news))

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        Path(props["path"]).unlink(missing_ok=True)


class Drawer(Resource):
    """A file."""

    path: pulumi.Output[str]

    def __init__(self, name: str, path: str, content: pulumi.Input[str], gate: str | None = None, opts=None) -> None:
        super().__init__(DrawerProvider(), name, {"path": path, "content": content, "gate": gate}, opts)

"""A process on this machine: the resource behind the environment that needs no machines."""

from pathlib import Path
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from stacks import processes
from stacks.providers import progress

Values = dict[str, Any]
SPEC = ("name", "command", "environment", "files", "ready", "ports")


class ProcessProvider(ResourceProvider):
    """Starts and ends processes by :mod:`stacks.processes`."""

    def create(self, props: Values) -> CreateResult:
        """Start it and wait until it is ready."""
        return CreateResult(id_=str(props["name"]), outs=self._start(props))

    def update(self, _id: str, _olds: Values, news: Values) -> UpdateResult:
        """Start it anew with other settings."""
        return UpdateResult(outs=self._start(news))

    def diff(self, _id: str, olds: Values, news: Values) -> DiffResult:
        """Changed when its specification did, or when the last look found it dead."""
        changed = any(olds.get(key) != news.get(key) for key in (*SPEC, "digest")) or not olds.get("running")
        replaces = ["state"] if olds.get("state") != news.get("state") else []
        return DiffResult(changes=changed, replaces=replaces, delete_before_replace=True)

    def read(self, id_: str, props: Values) -> ReadResult:
        """Whether it runs."""
        alive = processes.running(Path(props["state"]), str(props["name"]))
        return ReadResult(id_=id_, outs={**props, "running": alive})

    def delete(self, _id: str, props: Values) -> None:
        """End it."""
        processes.stop(Path(props["state"]), str(props["name"]))

    def _start(self, props: Values) -> Values:
        say = progress.speaker(str(props["name"]))
        state = Path(props["state"])
        processes.stop(state, str(props["name"]))
        processes.start(state, {key: props[key] for key in SPEC})
        say("ready")
        return {**props, "running": True}


class Process(Resource):
    """One process; its settings and files are secret as a whole, for tokens and passwords stand in them."""

    def __init__(
        self,
        name: str,
        *,
        state: str,
        command: list[str],
        environment: dict[str, str],
        files: dict[str, Any],
        ready: str,
        ports: list[int],
        digest: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        values = {
            "name": name,
            "state": state,
            "command": command,
            "environment": environment,
            "files": pulumi.Output.secret(files),
            "ready": ready,
            "ports": ports,
            "digest": digest,
            "running": None,
        }
        options = pulumi.ResourceOptions(additional_secret_outputs=["files"])
        super().__init__(ProcessProvider(), name, values, pulumi.ResourceOptions.merge(opts, options))


class DirectoryProvider(ResourceProvider):
    """A directory that is gone, with everything in it, when the environment is."""

    def create(self, props: Values) -> CreateResult:
        """Make it."""
        Path(props["path"]).mkdir(mode=0o700, parents=True, exist_ok=True)
        return CreateResult(id_=str(props["path"]), outs=props)

    def diff(self, _id: str, olds: Values, news: Values) -> DiffResult:
        """Another path is another directory."""
        moved = olds.get("path") != news.get("path")
        return DiffResult(changes=moved, replaces=["path"] if moved else [])

    def delete(self, _id: str, props: Values) -> None:
        """Remove it."""
        processes.remove(Path(props["path"]))


class Directory(Resource):
    """The directory of an environment's processes."""

    def __init__(self, name: str, path: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(DirectoryProvider(), name, {"path": path}, opts)

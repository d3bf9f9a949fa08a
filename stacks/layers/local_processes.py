"""Mesh and workloads as plain processes: the layers of an environment without machines."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
import yaml

from stacks import laptop, laptop_database
from stacks.environment import Environment
from stacks.providers.process import Directory, Process


def as_text(content: Any) -> str:
    """The content of a file; values become YAML, for the engine would turn their whole numbers into floats."""
    return content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)


class LocalProcesses(pulumi.ComponentResource):
    """Control plane, proxies and workloads on loopback; each waits for those that it needs."""

    def __init__(
        self,
        environment: Environment,
        *,
        state: Path,
        secrets: Mapping[str, str],
        digest: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("meshwright:index:LocalProcesses", "processes", None, opts)
        directory = Directory("state", str(state), pulumi.ResourceOptions(parent=self))
        made: dict[str, Process] = {}
        database = self._database(environment, state)
        for process in laptop.processes(environment, state, secrets, database):
            made[process.name] = Process(
                process.name,
                state=str(state),
                command=[sys.executable, "-m", process.module, *process.arguments],
                environment=dict(process.environment),
                files={path: as_text(content) for path, content in process.files.items()},
                ready=process.ready,
                ports=list(process.ports),
                digest=digest,
                opts=pulumi.ResourceOptions(
                    parent=self, depends_on=[directory, *self._places, *(made[name] for name in process.after)]
                ),
            )
        self.register_outputs({"processes": sorted(made)})

    def _database(self, environment: Environment, state: Path) -> dict[str, str] | None:
        """Where PostgreSQL's programs are and where its data goes; the latter is gone when the environment is."""
        self._places: list[pulumi.Resource] = []
        programs = laptop_database.binaries()
        if environment.postgresql is None or programs is None:
            return None
        data = str(laptop_database.data_directory(state, environment.name))
        self._places.append(Directory("database", data, pulumi.ResourceOptions(parent=self)))
        return {"binaries": str(programs), "data": data}

"""The settings of the mesh in files: a MeshConfig, and its MeshNetworks, as YAML or as the ConfigMap where Istio has them."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from mesh_control.sources.source import Parts
from mesh_control.sources.watching import MOUNT, watch
from mesh_policy.errors import PolicyError
from mesh_policy.files import read_file
from mesh_policy.mesh_config import MeshNetworks, read_mesh_config, read_mesh_networks
from mesh_policy.mesh_config.reading import has_networks


@dataclass(slots=True)
class MeshSettings:
    """The files as a :class:`~mesh_control.sources.source.Source`: a broken one keeps its last good content, and until there
    is some, no proxy is served: the defaults might open what the file shuts.

    Without ``networks`` those count that stand beside the settings in ``config``.
    """

    name: ClassVar[str] = "settings of the mesh"
    config: Path | None
    networks: Path | None = None
    _last: Parts = field(default_factory=Parts)
    _good: bool = False

    def __post_init__(self) -> None:
        self.read()

    @property
    def synced(self) -> bool:
        """See :class:`~mesh_control.sources.source.Source`: whether the files could be read once."""
        return self._good

    def read(self) -> Parts:
        """See :class:`~mesh_control.sources.source.Source`."""
        try:
            self._last = self._read()
            self._good = True
        except PolicyError as error:
            self._last = replace(self._last, problems=tuple(str(error).splitlines()))
        return self._last

    def _read(self) -> Parts:
        text = read_file(self.config) if self.config is not None else ""
        mesh = None if self.config is None else read_mesh_config(text, str(self.config))
        networks: MeshNetworks | None = None
        if self.networks is not None:
            networks = read_mesh_networks(read_file(self.networks), str(self.networks))
        elif has_networks(text):
            networks = read_mesh_networks(text, str(self.config))
        return Parts(mesh=mesh, networks=networks)

    async def watch(self, changed: Callable[[], None]) -> None:
        """See :class:`~mesh_control.sources.source.Source`. The files' own folders alone, as that of an inventory."""
        folders: dict[Path, set[str]] = {}
        for path in self._paths():
            folders.setdefault(path.parent, {MOUNT}).add(path.name)
        async with asyncio.TaskGroup() as group:
            for folder, names in folders.items():
                group.create_task(_watch(folder, frozenset(names), changed))

    def _paths(self) -> Iterator[Path]:
        yield from (path for path in (self.config, self.networks) if path is not None)


async def _watch(folder: Path, names: frozenset[str], changed: Callable[[], None]) -> None:
    await watch(folder, lambda path: path.name in names, changed, recursive=False)

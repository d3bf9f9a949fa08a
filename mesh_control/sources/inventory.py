"""The static inventory: services and workloads in a YAML file."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, ClassVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mesh_control.services import Protocol, Service, ServicePort, Workload, protocol_of
from mesh_control.sources.source import Parts
from mesh_control.sources.watching import MOUNT, watch
from mesh_policy import json_text
from mesh_policy.errors import PolicyError
from mesh_policy.files import read_file

Port = Annotated[int, Field(ge=1, le=65535)]
CLUSTER_DOMAIN = "svc.cluster.local"


class InventoryError(ValueError):
    """The file cannot be used; the message has one line for each wrong field."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InventoryPort(_Model):
    """One port of a service; ``target_port`` is that of its workloads where they name none."""

    name: str
    port: Port
    protocol: str = ""
    target_port: Port | None = None


class InventoryService(_Model):
    """A service: the workloads of its namespace with the labels of ``selector``."""

    name: str
    namespace: str = "default"
    ports: tuple[InventoryPort, ...]
    selector: dict[str, str] = Field(default_factory=dict)
    addresses: tuple[str, ...] = ()


class InventoryWorkload(_Model):
    """A workload: where it runs, what it is, and its own ports by name."""

    name: str
    namespace: str = "default"
    address: str
    labels: dict[str, str] = Field(default_factory=dict)
    service_account: str = "default"
    ports: dict[str, Port] = Field(default_factory=dict)
    sidecar: bool = True
    weight: Annotated[int, Field(ge=1)] = 1
    locality: str = ""


class Inventory(_Model):
    """The file."""

    services: tuple[InventoryService, ...] = ()
    workloads: tuple[InventoryWorkload, ...] = ()

    def parts(self, *, certified: bool = False) -> tuple[tuple[Service, ...], tuple[Workload, ...]]:
        """The services and workloads of the world; ``certified``: those with a sidecar take mutual TLS."""
        workloads = (Workload(**dict(own), mutual_tls=certified and own.sidecar) for own in self.workloads)
        return tuple(map(_service, self.services)), tuple(workloads)


@dataclass(slots=True)
class InventoryFile:
    """The file at ``path`` as a :class:`~mesh_control.sources.source.Source`; a broken one keeps its last good content.

    ``certified``: sidecars get certificates of the mesh.
    """

    name: ClassVar[str] = "inventory"
    synced: ClassVar[bool] = True
    path: Path
    certified: bool = False
    _last: Parts = field(default_factory=Parts)

    def read(self) -> Parts:
        """The services and workloads of the file."""
        try:
            services, workloads = read(self.path).parts(certified=self.certified)
            self._last = Parts(services, workloads)
        except InventoryError as error:
            self._last = replace(self._last, problems=tuple(str(error).splitlines()))
        return self._last

    async def watch(self, changed: Callable[[], None]) -> None:
        """See :class:`~mesh_control.sources.source.Source`.

        The file's own folder alone: what lies deeper beside it may belong to others and need not even be readable.
        """
        names = (self.path.name, MOUNT)
        await watch(self.path.parent, lambda path: path.name in names, changed, recursive=False)


def read(path: Path) -> Inventory:
    """The inventory of a file. Raises :class:`InventoryError`, which names file and field."""
    try:
        value = (
            yaml.safe_load(read_file(path)) or {}
        )  # PyYAML's rules, as of those who write it: Ansible, and the stacks
    except PolicyError as error:
        raise InventoryError(str(error)) from None
    except yaml.YAMLError as error:
        raise InventoryError(f"{path}: {error}") from None
    except RecursionError:  # PyYAML goes one call deeper for each level
        raise InventoryError(f"{path}: {json_text.TOO_DEEP}; an inventory has a few") from None
    except (ValueError, LookupError, AttributeError, TypeError) as error:  # PyYAML's, of `!!int x` or a 32nd day
        raise InventoryError(f"{path}: a value does not fit its tag: {error}") from None
    try:
        return Inventory.model_validate(value)
    except ValidationError as error:
        lines = [f"{path}: {'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise InventoryError("\n".join(lines)) from None


def _service(entry: InventoryService) -> Service:
    return Service(
        hostname=f"{entry.name}.{entry.namespace}.{CLUSTER_DOMAIN}",
        namespace=entry.namespace,
        ports=tuple(_port(port) for port in entry.ports),
        addresses=entry.addresses,
        selector=entry.selector,
        name=entry.name,
    )


def _port(port: InventoryPort) -> ServicePort:
    protocol: Protocol = protocol_of(port.name, port.protocol)
    return ServicePort(port.name, port.port, protocol, port.target_port or port.port)

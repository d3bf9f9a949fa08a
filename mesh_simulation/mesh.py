"""A mesh to ask: the control plane's world, where its policies stand, and its proxies, each compiled when it is asked for."""

import gc
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from mesh_control.addresses.plan import Allocated, in_status
from mesh_control.services import Service, Workload
from mesh_control.sources import entries
from mesh_control.sources import inventory as static_inventory
from mesh_control.sources.kubernetes import manifests
from mesh_control.sources.kubernetes.surroundings import surroundings
from mesh_control.world import World, own_settings
from mesh_policy import Policy, PolicyError, Problem, ServiceEntry, load_everything
from mesh_policy.files import read_files
from mesh_policy.load import Loaded
from mesh_policy.mesh_config import MeshConfig, MeshNetworks
from mesh_policy.objects import ObjectError
from mesh_policy.positions import Path as FieldPath

Key = tuple[str, str, str]
"""Kind, namespace and name of a policy (:attr:`Policy.key`)."""


class MeshError(ValueError):
    """A mesh that cannot be made; the message has one line for each problem, with file and line."""


@contextmanager
def made_to_stay() -> Iterator[None]:
    """While much is made that all stays as long as the mesh: Python does not look for rubbish, of which it would find none,
    over and over again."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():  # else somebody keeps objects out of the search on purpose
            gc.freeze()
            gc.unfreeze()  # straight into the oldest generation, where what stays comes in the end
        gc.enable()


@dataclass(frozen=True, eq=False, repr=False)
class Mesh:
    """A mesh that does not change. Two requests to it are answered alike, whatever is asked between them.

    ``namespace`` is that of names without one, ``passed_over`` the documents of folders that are no objects
    (:func:`mesh_policy.load.objects`), as ``FILE:LINE``.
    """

    world: World
    places: Mapping[Key, Loaded] = field(default_factory=dict)
    namespace: str = "default"
    passed_over: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        policies: Iterable[Policy] = (),
        services: Iterable[Service] = (),
        workloads: Iterable[Workload] = (),
        namespace: str = "default",
        mesh_config: MeshConfig | None = None,
    ) -> "Mesh":
        """A mesh of typed policies and of the control plane's services and workloads; ServiceEntries and WorkloadEntries
        among the policies bring theirs. ``mesh_config`` ``None``: the control plane's own settings."""
        found = World(mesh=mesh_config or own_settings())
        return cls(_world(found, list(policies), services, workloads), namespace=namespace)

    @classmethod
    def load(
        cls,
        *paths: Path | str,
        inventory: Path | str | None = None,
        namespace: str = "default",
        mesh_config: MeshConfig | None = None,
    ) -> "Mesh":
        """The mesh of files and folders of YAML and JSON (:mod:`mesh_policy.files`): policies, and Kubernetes objects
        (Service, Pod, Deployment, Namespace ...) beside them; ``inventory`` is a static inventory. Raises
        :class:`MeshError`."""
        try:
            texts = [item for path in paths for item in read_files(Path(path))]
        except PolicyError as error:
            raise MeshError(str(error)) from None
        return cls.read(texts, inventory, namespace, mesh_config)

    @classmethod
    def read(
        cls,
        texts: Iterable[tuple[str, str]],
        inventory: Path | str | None = None,
        namespace: str = "default",
        mesh_config: MeshConfig | None = None,
        networks: MeshNetworks | None = None,
        *,
        as_given: bool = False,
    ) -> "Mesh":
        """As :meth:`load`, of pairs of source and YAML. ``as_given``: without the addresses and endpoints that a cluster
        would add to Kubernetes' objects. Raises :class:`MeshError`."""
        try:
            with made_to_stay():
                everything = load_everything(texts)
                _each_once(everything.policies)
                others = [_plain(item) for item in everything.others]
                found = manifests.parts(others, as_given=as_given)
                services, workloads = ((), ()) if inventory is None else static_inventory.read(Path(inventory)).parts()
        except (PolicyError, ObjectError, static_inventory.InventoryError) as error:
            raise MeshError(str(error)) from None
        around = World(
            mesh=mesh_config or own_settings(),
            surroundings=surroundings(others),
            networks=networks or MeshNetworks(),
            allocated=_allocated(everything.policies),
        )
        world = _world(
            around,
            [item.policy for item in everything.policies],
            (*services, *found.services),
            (*workloads, *found.workloads),
        )
        places = {item.policy.key: item for item in everything.policies}
        return cls(world, places, namespace, everything.passed_over)

    def with_policies(self, *policies: Policy) -> "Mesh":
        """The mesh with further policies; one of a kind and name that is there replaces it."""
        new = {policy.key for policy in policies}
        kept = [policy for policy in self.world.policies if policy.key not in new]
        world = _world(self.world, [*kept, *policies], self._own_services, self._own_workloads)
        places = {key: place for key, place in self.places.items() if key not in new}
        return Mesh(world, places, self.namespace, self.passed_over)

    def with_services(self, services: Iterable[Service], workloads: Iterable[Workload]) -> "Mesh":
        """The mesh with further services and workloads; those of a name that is there are left out."""
        known = {(w.name, w.namespace) for w in self.world.workloads}
        new = [w for w in workloads if (w.name, w.namespace) not in known]
        found = (*self._own_services, *services), (*self._own_workloads, *new)
        world = _world(self.world, list(self.world.policies), *found)
        return Mesh(world, self.places, self.namespace, self.passed_over)

    def place(self, key: Key, path: FieldPath = ()) -> str:
        """``FILE:LINE`` of a field of a policy, by its path in YAML's names; empty where it was not read from a file."""
        found = self.places.get(key)
        return "" if found is None else f"{found.source}:{found.line(path)}"

    def __repr__(self) -> str:
        """Short: a failing test shows it."""
        world = self.world
        sizes = {"policies": world.policies, "services": world.services, "workloads": world.workloads}
        return f"<Mesh: {', '.join(f'{len(items)} {name}' for name, items in sizes.items())}>"

    @property
    def _own_services(self) -> tuple[Service, ...]:
        made, world = list(entries.services(self.world.policies, allocated=self.world.allocated)), self.world
        known = [
            replace(service, aliases=()) for service in (*world.services, *world.rivals)
        ]  # the world finds them again
        return (*(service for service in known if service not in made), *world.aliases)

    @property
    def _own_workloads(self) -> tuple[Workload, ...]:
        made = {(w.name, w.namespace) for w in entries.workloads(self.world.policies)}
        return tuple(w for w in self.world.workloads if (w.name, w.namespace) not in made)

    @cached_property
    def memo(self) -> dict[Any, Any]:
        """What was made for earlier requests, each by all that it depends on besides the world."""
        return {}


def _world(around: World, policies: list[Policy], services: Iterable[Service], workloads: Iterable[Workload]) -> World:
    """A world with the settings, surroundings, networks and given addresses of another."""
    made = entries.services(policies, allocated=around.allocated), entries.workloads(policies)
    return World.of(
        (*services, *made[0]),
        (*workloads, *made[1]),
        policies,
        around.mesh,
        around.surroundings,
        networks=around.networks,
        allocated=around.allocated,
    )


def _allocated(loaded: Iterable[Loaded]) -> Allocated:
    """The addresses that hosts of ServiceEntries were given, as these say in their status."""
    return {
        (item.policy.metadata.namespace, item.policy.metadata.name): hosts
        for item in loaded
        if isinstance(item.policy, ServiceEntry) and (hosts := in_status(item.document.value.get("status")))
    }


def _plain(item: Any) -> Mapping[str, Any]:
    """The object's values, however it was handed over."""
    return item if isinstance(item, Mapping) else item.value


def _each_once(items: Iterable[Loaded]) -> None:
    """Raises :class:`PolicyError` for two objects of one kind and name: the later would silently replace the former."""
    seen: dict[Key, Loaded] = {}
    problems = []
    for item in items:
        known = seen.setdefault(item.policy.key, item)
        if known is not item:
            kind, namespace, name = item.policy.key
            message = f"stands twice, first at {known.source}:{known.line()}; keep one"
            problems.append(Problem(item.source, item.line(), f"{kind} {namespace}/{name}", "", message))
    if problems:
        raise PolicyError(problems)

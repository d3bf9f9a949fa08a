"""The one list of sources."""

from collections.abc import Callable, Mapping

from mesh_control.databases import StoreError
from mesh_control.registration.store import Store
from mesh_control.settings import Settings
from mesh_control.sources.credentials import CredentialFolder
from mesh_control.sources.inventory import InventoryFile
from mesh_control.sources.key_sets import KeySets
from mesh_control.sources.kubernetes.wiring import cluster_of
from mesh_control.sources.mesh_settings import MeshSettings
from mesh_control.sources.registrations import Registrations
from mesh_control.sources.source import Source


def _inventory(settings: Settings) -> Source | None:
    if settings.inventory is None:
        return None
    return InventoryFile(settings.inventory, certified=settings.ca is not None)


def _mesh_settings(settings: Settings) -> Source | None:
    if settings.mesh_config is None and settings.mesh_networks is None:
        return None
    return MeshSettings(settings.mesh_config, settings.mesh_networks)


def _registrations(settings: Settings) -> Source | None:
    try:
        return Registrations(Store(settings.state_dir / "registrations.sqlite"), alone=not settings.replicated)
    except StoreError as error:
        raise OSError(str(error)) from None


def _kubernetes(settings: Settings) -> Source | None:
    if settings.kubernetes is None:
        return None
    return cluster_of(settings.kubernetes, gives_roots=settings.gives_roots, has_releases=settings.replicated)


def _credentials(settings: Settings) -> Source | None:
    return CredentialFolder(settings.credentials_dir) if settings.credentials_dir is not None else None


SOURCES: Mapping[str, Callable[[Settings], Source | None]] = {
    "settings of the mesh": _mesh_settings,
    "inventory": _inventory,
    "kubernetes": _kubernetes,
    "registrations": _registrations,
    "credentials": _credentials,
    "token keys": lambda _: KeySets(),
}
"""By name, what makes a source of the settings; ``None`` where they ask for none. Of two objects of one name, the one of the
earlier source counts. Before all of these comes the directory of policies, where sets are written to
(:class:`~mesh_control.sources.directory.PolicyDirectory`)."""


def sources(settings: Settings) -> tuple[Source, ...]:
    """Every source that the settings ask for, but the directory of policies. Raises :class:`OSError`."""
    made = (make(settings) for make in SOURCES.values())
    return tuple(source for source in made if source is not None)

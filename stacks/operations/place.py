"""Which inventory a command is for, and the file of the password that opens its vault."""

from dataclasses import dataclass
from pathlib import Path

from stacks.playbooks import ROOT
from stacks.vault import PASSWORD_FILE

STATIC = "static.yml"
"""An environment's inventory in a file (``python -m stacks.render``)."""


class PlaceError(ValueError):
    """There is no such inventory; the message names what there is."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a command works. Without a password the inventory has no vault."""

    inventory: Path
    password_file: Path | None


def find(inventory: Path | None, environment: str, password_file: Path | None, root: Path = ROOT) -> Place:
    """The inventory that is named, or that of an environment. Raises :class:`PlaceError` with the mend."""
    if (inventory is None) == (not environment):
        raise PlaceError(
            f"say which machines: --inventory FILE, or --environment NAME (of {', '.join(known(root)) or 'none'})"
        )
    found = inventory if inventory is not None else root / "inventories" / environment / STATIC
    if not found.exists():
        raise PlaceError(
            f"there is no inventory {found}; name one that is there, or an environment of {', '.join(known(root)) or 'none'}"
        )
    if password_file is not None and not password_file.exists():
        raise PlaceError(
            f"there is no {password_file}; name the file with the vault's password, or make it by `make secrets`"
        )
    kept = root / PASSWORD_FILE
    return Place(found.resolve(), password_file.resolve() if password_file else kept if kept.exists() else None)


def known(root: Path = ROOT) -> list[str]:
    """Environments that have an inventory in a file."""
    return sorted(file.parent.name for file in (root / "inventories").glob(f"*/{STATIC}"))

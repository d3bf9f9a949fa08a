"""Names of a package that are imported when they are first asked for, so that who takes one does not wait for them all.

A package that has such names shows them to type checkers and editors below ``if TYPE_CHECKING``, and at run time by::

    __all__, __getattr__, __dir__ = lazily(__name__, _HOMES)
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module


def lazily(
    package: str, homes: Mapping[str, Sequence[str]]
) -> tuple[list[str], Callable[[str], object], Callable[[], list[str]]]:
    """The ``__all__``, ``__getattr__`` and ``__dir__`` of a package; ``homes`` maps a module to its names that are shown."""
    home_of = {name: module for module, names in homes.items() for name in names}

    def found(name: str) -> object:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value: object = getattr(import_module(home_of[name]), name)
        setattr(sys.modules[package], name, value)  # the next time Python finds it itself
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *home_of})

    return [*home_of], found, names

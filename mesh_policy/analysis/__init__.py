"""What is found about policies: each other, and what is known of the mesh.

:mod:`~mesh_policy.analysis.checks` is the whole analysis of files (``mesh analyze``), :mod:`~mesh_policy.analysis.check`
what the control plane asks of a set, :mod:`~mesh_policy.analysis.codes` the table of what can be found.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mesh_policy.analysis.finding import subject as subject

__all__ = ["subject"]


def __getattr__(name: str) -> object:
    """The name above, imported when it is first asked for: the table of codes needs no kinds."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("mesh_policy.analysis.finding"), name)

"""What is found about policies: each other, and what is known of the mesh.

:mod:`~mesh_policy.analysis.checks` is the whole analysis of files (``mesh analyze``), :mod:`~mesh_policy.analysis.check`
what the control plane asks of a set, :mod:`~mesh_policy.analysis.codes` the table of what can be found.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mesh_policy.analysis.check import (
        Finding as Finding,
    )
    from mesh_policy.analysis.check import (
        KnownService as KnownService,
    )
    from mesh_policy.analysis.check import (
        KnownWorkload as KnownWorkload,
    )
    from mesh_policy.analysis.check import (
        Level as Level,
    )
    from mesh_policy.analysis.check import (
        subject as subject,
    )

__all__ = ["Finding", "KnownService", "KnownWorkload", "Level", "subject"]


def __getattr__(name: str) -> object:
    """The names above, imported when one is first asked for: the table of codes needs no kinds."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("mesh_policy.analysis.check"), name)

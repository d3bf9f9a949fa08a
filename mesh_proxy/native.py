"""What the compiled form (mypyc) is told in the source; interpreted, it means nothing.

mypyc reads the decorators of PyPI's ``mypy_extensions`` when it compiles, and they are not there at run time. Of what is made
for every request, ``free_list_len=1`` keeps one that is over for the next; ``acyclic`` is said of what refers to nothing that
could lead back to it, and spares the garbage collector.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from mypy_extensions import mypyc_attr as mypyc_attr
else:
    T = TypeVar("T")

    def mypyc_attr(**_settings: bool | int) -> Callable[[T], T]:
        """See the module's docstring."""
        return lambda decorated: decorated

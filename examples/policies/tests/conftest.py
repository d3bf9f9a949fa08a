"""The mesh that an example's policies are tried in: the book store, with those policies and nothing else."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from mesh_policy import Policy, dump
from mesh_simulation import Mesh

SERVICES = Path(__file__).parents[1] / "book-store.yaml"


@pytest.fixture
def with_policies(mesh_of: Callable[..., Mesh]) -> Callable[[Sequence[Policy]], Mesh]:
    """Makes the mesh."""
    return lambda policies: mesh_of(SERVICES.read_text(), dump(list(policies)))

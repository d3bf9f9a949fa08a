"""What a mesh would do with a request, without a cluster: the real compiler and the real matching code, and no socket.

::

    mesh = Mesh.load("policies/", "kubernetes/")
    decision = simulate(mesh, Request("client.default", "http://reviews:9080/reviews/1", headers={"end-user": "jason"}))
    assert decision.goes_to("reviews", subset="v2")
    print(decision)

:func:`behaviour_diff` tells which requests two meshes treat differently. Users of pytest have a fixture and readable failures
(:mod:`mesh_simulation.pytest_plugin`).
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mesh_simulation.behaviour import Change as Change
    from mesh_simulation.behaviour import behaviour_diff as behaviour_diff
    from mesh_simulation.decision import Decision as Decision
    from mesh_simulation.mesh import Mesh as Mesh
    from mesh_simulation.mesh import MeshError as MeshError
    from mesh_simulation.request import Request as Request
    from mesh_simulation.request import RequestError as RequestError
    from mesh_simulation.simulation import simulate as simulate

_HOMES = {
    "Change": "behaviour",
    "Decision": "decision",
    "Mesh": "mesh",
    "MeshError": "mesh",
    "Request": "request",
    "RequestError": "request",
    "behaviour_diff": "behaviour",
    "simulate": "simulation",
}
"""Public name to its module, imported on the first use: pytest imports this package wherever it is installed."""

__all__ = ["Change", "Decision", "Mesh", "MeshError", "Request", "RequestError", "behaviour_diff", "simulate"]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{home}")
    globals()[name] = found = getattr(module, name)
    return found

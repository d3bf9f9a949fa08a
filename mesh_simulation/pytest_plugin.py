"""For tests of policies with pytest: the fixture ``mesh``, and failures that tell the request's story.

In ``pyproject.toml``::

    [tool.pytest.ini_options]
    mesh_files = ["policies", "kubernetes"]

    def test_admins_only(mesh):
        decision = simulate(mesh, Request("client.default", "http://admin:8080/"))
        assert decision.is_denied(by="deny-all")

A test marked ``@pytest.mark.mesh("other.yaml", inventory="inventory.yaml")`` gets the mesh of those files instead. Paths are
relative to the project's root directory (of a marker: to the test's folder, where the file is there). ``mesh_of`` makes a
mesh of YAML text in the test itself. Nothing of the mesh is imported before a test asks for it.
"""

import sys
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mesh_simulation.mesh import Mesh


def pytest_addoption(parser: pytest.Parser) -> None:
    """The settings of the fixture."""
    parser.addini(
        "mesh_files", "Files and folders of policies and Kubernetes objects for the fixture mesh.", "linelist", []
    )
    parser.addini("mesh_inventory", "Static inventory for the fixture mesh.", "string", "")
    parser.addini("mesh_namespace", "Namespace of names without one in simulated requests.", "string", "default")


def pytest_configure(config: pytest.Config) -> None:
    """The marker."""
    config.addinivalue_line("markers", "mesh(*paths, inventory=None, namespace='default'): files of the fixture mesh")


_MESHES = pytest.StashKey[dict[Any, "Mesh"]]()


@pytest.fixture
def mesh(request: pytest.FixtureRequest) -> "Mesh":
    """The mesh of the files that the marker ``mesh`` names, else of the setting ``mesh_files``; read once a session."""
    from mesh_simulation.mesh import Mesh, MeshError

    config = request.config
    marker = request.node.get_closest_marker("mesh")
    if marker is not None:
        folders = (request.path.parent, config.rootpath)
        paths = [_found(path, *folders) for path in marker.args]
        inventory = marker.kwargs.get("inventory") or ""
        namespace = marker.kwargs.get("namespace", "default")
    else:
        folders = (config.rootpath, config.rootpath)
        paths = [_found(path, *folders) for path in config.getini("mesh_files")]
        inventory, namespace = config.getini("mesh_inventory"), config.getini("mesh_namespace")
    if not paths:
        pytest.fail(
            "the fixture mesh has no files; set mesh_files, or mark the test @pytest.mark.mesh('FILE')", pytrace=False
        )
    place = _found(inventory, *folders) if inventory else None
    known = config.stash.setdefault(_MESHES, {})
    key = (tuple(paths), place, namespace)
    if key not in known:
        try:
            known[key] = Mesh.load(*paths, inventory=place, namespace=namespace)
        except MeshError as error:
            pytest.fail(str(error), pytrace=False)
    return known[key]


def _found(path: str, near: Path, root: Path) -> Path:
    return near / path if (near / path).exists() else root / path


@pytest.fixture
def mesh_of() -> Callable[..., "Mesh"]:
    """Makes a mesh of YAML text: ``mesh_of(text, text, namespace="default")``."""
    from mesh_simulation.mesh import Mesh

    def made(*texts: str, namespace: str = "default") -> "Mesh":
        return Mesh.read([(f"text {n}", text) for n, text in enumerate(texts, 1)], namespace=namespace)

    return made


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """What is compared with a decision, or with an answer of one, is shown with the story."""
    known = _classes()
    decision = next((item for item in (left, right) if isinstance(item, known)), None)
    if decision is None:
        return None
    return [f"{_short(left)} {op} {_short(right)}", *_story(decision).splitlines()]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Below a failed assertion, the story of every decision that stands in its test."""
    report = yield
    if report.failed and call.excinfo is not None and call.excinfo.errisinstance(AssertionError):
        shown = report.longreprtext
        for story in _stories(call.excinfo.traceback[-1].frame.f_locals.values()):
            if story.splitlines()[-1] not in shown:
                report.sections.append(("simulated request", story))
    return report


def _stories(values: Iterable[object]) -> list[str]:
    """What pytest's assertions have in hand stands among the variables of the test, too."""
    known = _classes()
    return list(dict.fromkeys(_story(value) for value in values if isinstance(value, known)))


def _classes() -> tuple[type, ...]:
    """Decision and Answer; nothing where nobody has imported them, so that nobody can have one."""
    module = sys.modules.get("mesh_simulation.decision")
    return () if module is None else (module.Decision, module.Answer)


def _short(item: object) -> str:
    status = getattr(item, "status", None)
    question = getattr(item, "question", None)
    return f"Decision(status={status})" if status is not None else str(question or repr(item))


def _story(item: Any) -> str:
    return str(getattr(item, "decision", item).explain())

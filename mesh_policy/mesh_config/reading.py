"""The settings of a mesh from YAML: a plain document, or the ConfigMap ``istio`` with it as text.

Fields have the names of YAML (``trustDomain``). Istio takes protobuf's own as well (``trust_domain``) and passes over what it
does not know; here both are refused, with the name that is meant.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from mesh_policy import positions
from mesh_policy.base import YAML_NAMES
from mesh_policy.errors import PolicyError, Problem
from mesh_policy.load import problems_of
from mesh_policy.mesh_config.mesh import MeshConfig
from mesh_policy.mesh_config.networks import MeshNetworks
from mesh_policy.mesh_config.proxy_config import ANNOTATION, ProxyConfig
from mesh_policy.mesh_config.values import Settings

MESH, NETWORKS = "mesh", "meshNetworks"
"""Keys of the ConfigMap: the YAML of a :class:`MeshConfig`, and that of a :class:`MeshNetworks`."""
_BLOCK = re.compile(r":\s*\|[-+0-9]*\s*(#.*)?$")
Read = TypeVar("Read", bound=Settings)


def read_mesh_config(text: str, source: str = "mesh configuration") -> MeshConfig:
    """The settings of a mesh: of a MeshConfig document, or of the key ``mesh`` of a ConfigMap. Nothing gives the defaults.

    Raises :class:`PolicyError` with every problem: the line in ``source``, the field, and what to write.
    """
    return _read(MeshConfig, text, source, MESH)


def read_mesh_networks(text: str, source: str = "mesh networks") -> MeshNetworks:
    """The networks of a mesh: of a MeshNetworks document, or of the key ``meshNetworks`` of a ConfigMap. Raises as
    :func:`read_mesh_config`."""
    return _read(MeshNetworks, text, source, NETWORKS)


def has_networks(text: str) -> bool:
    """Whether a document is a ConfigMap that has networks beside the settings."""
    try:
        return any(_is_config_map(found.value, NETWORKS) for found in positions.documents(text, ""))
    except PolicyError:
        return False


def read_proxy_config(text: str, source: str = ANNOTATION) -> ProxyConfig:
    """The settings of a proxy, as ``defaultConfig`` and the annotation hold them; :meth:`MeshConfig.proxy_config` puts
    them over the mesh's. Raises as :func:`read_mesh_config`."""
    return _read(ProxyConfig, text, source, "")


@dataclass(frozen=True, slots=True)
class _Moved:
    """A document that is the text of a field of another: its lines are counted in the file."""

    inner: positions.Document
    before: int
    one_line: bool = False

    def line(self, path: positions.Path) -> int:
        return self.before if self.one_line else self.inner.line(path) + self.before


def _read(model: type[Read], text: str, source: str, key: str) -> Read:
    found = _chosen(list(positions.documents(text, source)), model, source, key)
    if found is None:
        return model()
    config_map = key and isinstance(found.value, dict) and found.value.get("kind") == "ConfigMap"
    if not config_map:
        return _model(model, found.value, found, source)
    inner = _text_of(found, source, key)
    line = found.line(("data", key))
    block = _BLOCK.search(text.splitlines()[line - 1]) is not None
    try:
        held = list(positions.documents(inner, source))
    except PolicyError as error:
        raise PolicyError([_in_file(problem, line, block) for problem in error.problems]) from None
    document = _chosen(held, model, source, "")
    if document is None:
        return model()
    return _model(model, document.value, _Moved(document, line, not block), source)


def _in_file(problem: Problem, line: int, block: bool) -> Problem:
    """A problem of the text of a field, with its line in the file."""
    return Problem(
        problem.source,
        line + problem.line if block else line,
        problem.subject,
        problem.field,
        problem.message,
    )


def _chosen(found: list[positions.Document], model: type[Settings], source: str, key: str) -> positions.Document | None:
    """The document that is meant: the ConfigMap with the key, or the only one."""
    maps = [document for document in found if key and _is_config_map(document.value, key)]
    chosen = maps or found
    if len(chosen) > 1:
        message = f"there are several documents; write one {model.__name__}"
        raise PolicyError([Problem(source, chosen[1].line(()), model.__name__, "", message)])
    return chosen[0] if chosen else None


def _is_config_map(value: Any, key: str) -> bool:
    data = value.get("data") if isinstance(value, dict) and value.get("kind") == "ConfigMap" else None
    return isinstance(data, dict) and key in data


def _text_of(document: positions.Document, source: str, key: str) -> str:
    data = document.value.get("data")
    value = data.get(key) if isinstance(data, dict) else None
    if isinstance(value, str):
        return value
    message = "is required" if value is None else f"must be text; write `{key}: |` and the settings below it"
    raise PolicyError([Problem(source, document.line(("data", key)), "ConfigMap", f"data.{key}", message)])


def _model(model: type[Read], value: Any, document: Any, source: str) -> Read:
    name = model.__name__
    refused = list(_misplaced(value, name))
    if refused:
        field, message = refused[0]
        path = (field,) if field else ()
        raise PolicyError([Problem(source, document.line(path), name, field, message)])
    try:
        return model.model_validate(value, by_alias=True, by_name=False, context=YAML_NAMES)
    except ValidationError as error:
        raise PolicyError(problems_of(error, model, document, source, name)) from None


def _misplaced(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """What is no settings at all, and where they are to be found in it."""
    if not isinstance(value, dict):
        yield "", "must be a map of fields"
    elif value.get("kind") == "IstioOperator":
        yield "kind", f"is an IstioOperator; write what stands in its spec.meshConfig, which is a {name}"
    elif "kind" in value or "apiVersion" in value:
        field = "kind" if "kind" in value else "apiVersion"
        yield field, f"is an object of Kubernetes; a {name} has neither kind nor apiVersion, or stands in a ConfigMap"
    elif name == "MeshConfig" and isinstance(value.get("meshConfig"), dict):
        yield "meshConfig", "are values of a chart; write what stands in meshConfig"

"""Policies from YAML and to YAML."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from mesh_policy import positions
from mesh_policy.base import VERSIONS, Policy
from mesh_policy.errors import PolicyError, Problem
from mesh_policy.kinds import GROUPS, KINDS


@dataclass(frozen=True, slots=True)
class Loaded:
    """A policy and where it stands."""

    policy: Policy
    source: str
    document: positions.Document

    def line(self, path: positions.Path = ()) -> int:
        """The line of a field of the object, by its path in YAML's names."""
        return self.document.line(path)


@dataclass(frozen=True, slots=True)
class Everything:
    """What a set of files holds: policies, and other objects (Service, Deployment ...) as plain values."""

    policies: tuple[Loaded, ...]
    others: tuple[dict[str, Any], ...]


def load_documents(text: str, source: str = "policies") -> list[Policy]:
    """The policies of a YAML stream. Raises :class:`PolicyError` with every problem of every document."""
    return [item.policy for item in load_everything([(source, text)]).policies]


def load_path(path: Path) -> list[Policy]:
    """The policies of a file, or of all ``*.yaml`` and ``*.yml`` files below a folder."""
    return [item.policy for item in load_everything(read_files(path)).policies]


def read_files(path: Path) -> list[tuple[str, str]]:
    """Names and texts of the YAML files at the path, sorted. Raises :class:`PolicyError` when there is none."""
    files = sorted(f for f in path.rglob("*") if f.suffix in (".yaml", ".yml")) if path.is_dir() else [path]
    try:
        return [(str(file), file.read_text()) for file in files]
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError([Problem(str(path), 0, "cannot be read", "", str(error))]) from None


def load_everything(texts: Iterable[tuple[str, str]]) -> Everything:
    """Policies and other objects of YAML streams given as source and text."""
    policies: list[Loaded] = []
    others: list[dict[str, Any]] = []
    problems: list[Problem] = []
    for source, text in texts:
        try:
            found = list(positions.documents(text, source))
        except PolicyError as error:
            problems += error.problems
            continue
        for document in found:
            try:
                _take(document, source, policies, others)
            except PolicyError as error:
                problems += error.problems
    if problems:
        raise PolicyError(problems)
    return Everything(tuple(policies), tuple(others))


def _take(document: positions.Document, source: str, policies: list[Loaded], others: list[dict[str, Any]]) -> None:
    value = document.value
    if not isinstance(value, dict) or "kind" not in value or "apiVersion" not in value:
        raise PolicyError([Problem(source, document.line(()), "not an object", "", "apiVersion and kind are required")])
    if value["kind"] == "List" and isinstance(value.get("items"), list):
        for place, item in enumerate(value["items"]):
            lines = {path[2:]: line for path, line in document.lines.items() if path[:2] == ("items", place)}
            _take(positions.Document(item, lines), source, policies, others)
        return
    group, _, version = str(value["apiVersion"]).partition("/")
    if group not in GROUPS:
        others.append(value)
        return
    policies.append(Loaded(_policy(document, source, group, version), source, document))


def _policy(document: positions.Document, source: str, group: str, version: str) -> Policy:
    value = document.value
    kind = KINDS.get(str(value["kind"]))
    name = (value.get("metadata") or {}).get("name", "?") if isinstance(value.get("metadata"), dict) else "?"
    subject = f"{value['kind']} {name}"
    if kind is None or group != "networking.istio.io":
        allowed = ", ".join(sorted(KINDS))
        message = f"the kind {value['kind']} of {group} is not supported yet; supported are {allowed}"
        raise PolicyError([Problem(source, document.line(("kind",)), subject, "kind", message)])
    if version not in VERSIONS:
        message = f"version {version!r} is unknown; use one of {', '.join(VERSIONS)}"
        raise PolicyError([Problem(source, document.line(("apiVersion",)), subject, "apiVersion", message)])
    content = {key: item for key, item in value.items() if key != "status"}
    try:
        return kind.model_validate(content | {"apiVersion": f"{group}/{VERSIONS[0]}"})
    except ValidationError as error:
        raise PolicyError([_problem(item, kind, document, source, subject) for item in error.errors()]) from None


def _problem(item: Any, kind: type[Policy], document: positions.Document, source: str, subject: str) -> Problem:
    path: positions.Path = tuple(item["loc"])
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        message = "there is no such field" + _suggestion(str(path[-1]), _fields(kind, path[:-1]))
    elif item["type"] == "missing":
        message = "is required"
    return Problem(source, document.line(path), subject, dotted(path), message)


def dotted(path: positions.Path) -> str:
    """``spec.http[0].timeout``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _suggestion(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else f"; allowed are {', '.join(sorted(known))}"


def _fields(model: type[BaseModel], path: positions.Path) -> list[str]:
    """Names of the fields at a path into a model, in YAML's form."""
    for part in path:
        if isinstance(part, int):
            continue
        info = next((f for n, f in model.model_fields.items() if part in (n, f.alias, f.serialization_alias)), None)
        inner = _model_of(info.annotation) if info is not None else None
        if inner is None:
            return []
        model = inner
    return [info.serialization_alias or info.alias or name for name, info in model.model_fields.items()]


def _model_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_of(argument)
        if found is not None:
            return found
    return None


def dump(policies: Iterable[Policy]) -> str:
    """The policies as YAML, one document each, always in the same form."""
    return "---\n".join(
        yaml.safe_dump(policy.to_document(), sort_keys=False, allow_unicode=True, width=116) for policy in policies
    )

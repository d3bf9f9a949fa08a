"""Policies from YAML and to YAML."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from mesh_policy import positions
from mesh_policy.base import Policy
from mesh_policy.errors import PolicyError, Problem
from mesh_policy.files import OfFolder, read_files
from mesh_policy.kinds import KINDS, is_policy, kind_names
from mesh_policy.yaml_text import written


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
    """What a set of files holds: policies, and other objects (Service, Deployment ...) as plain values.

    ``passed_over`` has ``SOURCE:LINE`` of each document of a folder that is no object (:func:`objects`).
    """

    policies: tuple[Loaded, ...]
    others: tuple[dict[str, Any], ...]
    passed_over: tuple[str, ...] = ()


def load_documents(text: str, source: str = "policies") -> list[Policy]:
    """The policies of a YAML stream. Raises :class:`PolicyError` with every problem of every document."""
    return [item.policy for item in load_everything([(source, text)]).policies]


def load_path(path: Path) -> list[Policy]:
    """The policies of a file, or of all ``*.yaml``, ``*.yml`` and ``*.json`` files below a folder."""
    return [item.policy for item in load_everything(read_files(path)).policies]


def load_everything(texts: Iterable[tuple[str, str]]) -> Everything:
    """Policies and other objects of YAML streams given as source and text. Raises :class:`PolicyError` with every problem."""
    policies: list[Loaded] = []
    others: list[dict[str, Any]] = []
    passed_over: list[str] = []
    problems: list[Problem] = []
    for document, source in objects(texts, problems, problems, passed_over):
        try:
            policy = policy_of(document, source)
        except PolicyError as error:
            problems += error.problems
            continue
        if policy is None:
            others.append(document.value)
        else:
            policies.append(policy)
    if problems:
        raise PolicyError(problems)
    return Everything(tuple(policies), tuple(others), tuple(passed_over))


def objects(
    texts: Iterable[tuple[str, str]], broken: list[Problem], strange: list[Problem], passed_over: list[str]
) -> Iterator[tuple[positions.Document, str]]:
    """The objects of YAML streams, with their source; those of a list (``kind: List``) one by one. The one rule for
    documents that are none:

    - what is not YAML is added to ``broken``, and nothing of its text is given;
    - a document with neither ``apiVersion`` nor ``kind`` is no object. Where its file was named it is added to ``strange``:
      somebody said that there are objects. Where its folder was (:class:`~mesh_policy.files.OfFolder`), its ``SOURCE:LINE``
      is added to ``passed_over``;
    - a document with only one of them, or with something else than text there, is an object that is wrong: ``strange``
      wherever it stands, for else a policy would be lost by a slip of the pen.

    ``kubectl apply -f`` and ``istioctl analyze`` refuse all three, in folders, too; people put objects beside other files.
    """
    for item in texts:
        source, text = item
        try:
            found = list(positions.documents(text, source))
        except PolicyError as error:
            broken += error.problems
            continue
        for document in found:
            if isinstance(item, OfFolder) and not _is_meant(document.value):
                passed_over.append(f"{source}:{document.line(())}")
            else:
                yield from _objects(document, source, strange)


def _is_meant(value: object) -> bool:
    """Whether somebody wrote an object there, right or wrong."""
    return isinstance(value, dict) and ("apiVersion" in value or "kind" in value)


def _objects(
    document: positions.Document, source: str, strange: list[Problem]
) -> Iterator[tuple[positions.Document, str]]:
    value = document.value
    if not isinstance(value, dict) or not all(isinstance(value.get(key), str) for key in ("apiVersion", "kind")):
        message = "apiVersion and kind are required, as text"
        strange.append(Problem(source, document.line(()), "not an object", "", message))
    elif value["kind"].endswith("List") and isinstance(value.get("items"), list):
        for place, item in enumerate(value["items"]):
            yield from _objects(document.part(("items", place), item), source, strange)
    else:
        yield document, source


def policy_of(document: positions.Document, source: str) -> Loaded | None:
    """The policy of a document that has apiVersion and kind; ``None`` for an object of another kind."""
    group, _, version = document.value["apiVersion"].rpartition("/")
    if not is_policy(group, document.value["kind"]):
        return None
    return Loaded(_policy(document, source, group, version), source, document)


def _policy(document: positions.Document, source: str, group: str, version: str) -> Policy:
    value = document.value
    subject = f"{value['kind']} {name_of(value)}"
    kind = KINDS.get((group, value["kind"]))
    if kind is None:
        field, message = _unknown_kind(group, value)
        raise PolicyError([Problem(source, document.line((field,)), subject, field, message)])
    if version not in kind.VERSIONS:
        message = f"version {version!r} is unknown; use one of {', '.join(kind.VERSIONS)}"
        raise PolicyError([Problem(source, document.line(("apiVersion",)), subject, "apiVersion", message)])
    content = {key: item for key, item in value.items() if key != "status"}
    try:
        return kind.read(content)
    except ValidationError as error:
        raise PolicyError(problems_of(error, kind, document, source, subject)) from None


def problems_of(
    error: ValidationError, model: type[BaseModel], document: positions.Document, source: str, subject: str
) -> list[Problem]:
    """What a model has against a document, with the lines of the fields, in words of YAML rather than of pydantic."""
    return [_problem(item, model, document, source, subject) for item in _without_consequences(error.errors())]


def _unknown_kind(group: str, value: Mapping[str, Any]) -> tuple[str, str]:
    """The field that is wrong, and what to write: of a kind that there is, the group; of another, the kind."""
    name, api_version = value["kind"], value["apiVersion"]
    instead = import_module("mesh_policy.unsupported").answer(group, name, value)  # seldom needed, so late
    if instead is not None:
        return "kind", instead
    known = [kind for (_, other), kind in KINDS.items() if other == name]
    if known:
        return "apiVersion", f"{api_version!r} has no {name}; write {' or '.join(k.written_version() for k in known)}"
    near = difflib.get_close_matches(name, kind_names(), n=1)
    hint = f"did you mean {near[0]}?" if near else f"supported are {', '.join(kind_names())}"
    return "kind", f"the kind {name} of {group} is not supported yet; {hint}"


def name_of(value: Mapping[str, Any]) -> str:
    """The name of an object that may be wrong in any way."""
    metadata = value.get("metadata")
    return str(metadata.get("name", "?")) if isinstance(metadata, dict) else "?"


def _without_consequences(errors: Sequence[Any]) -> list[Any]:
    """Without "too short" for a list whose items are wrong themselves: they are told, and are not missing."""
    places = [tuple(item["loc"]) for item in errors]

    def follows(item: Any) -> bool:
        own = tuple(item["loc"])
        return item["type"] == "too_short" and any(len(p) > len(own) and p[: len(own)] == own for p in places)

    return [item for item in errors if not follows(item)]


def _problem(item: Any, kind: type[BaseModel], document: positions.Document, source: str, subject: str) -> Problem:
    path: positions.Path = tuple(part for part in item["loc"] if part != "[key]")
    return Problem(source, document.line(path), subject, dotted(path), _message(item, kind, path))


def _shown(value: object) -> str:
    return "a list" if isinstance(value, list) else "a map" if isinstance(value, dict) else repr(value)


_WANTED = {
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "float_type": "must be a number",
    "tuple_type": "must be a list, written [a, b] or one item a line after dashes",
    "dict_type": "must be a map of fields",
    "model_type": "must be a map of fields",
}
"""What pydantic calls by the names of Python's types, in YAML's."""


def _message(item: Any, kind: type[BaseModel], path: positions.Path) -> str:
    if item["type"] == "extra_forbidden":
        return "there is no such field" + _suggestion(str(path[-1]), _fields(kind, path[:-1]))
    if item["type"] == "missing":
        return "is required"
    if item["type"] == "string_pattern_mismatch":
        dots = ", dots" if r"\." in item["ctx"]["pattern"] else ""
        return (
            f"{item['input']!r}: allowed are lower case letters, digits, dashes{dots}, a letter or digit at both ends"
        )
    wanted = _WANTED.get(item["type"])
    if wanted is None:
        return str(item["msg"]).removeprefix("Value error, ")
    value = item["input"]
    shown = "nothing" if value is None else _shown(value)
    scalar = item["type"] == "string_type" and isinstance(value, bool | int | float)
    return f"{wanted}, not {shown}" + ("; put it in quotes" if scalar else "")


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
    """Names of the fields at a path into a model, in YAML's form; of a choice, those of all its classes."""
    models = [model]
    for part in path:
        if isinstance(part, int):
            continue
        infos = [
            info
            for m in models
            for n, info in m.model_fields.items()
            if part in (n, info.alias, info.serialization_alias)
        ]
        models = [inner for info in infos for inner in _models_of(info.annotation)]
    return [info.serialization_alias or info.alias or n for m in models for n, info in m.model_fields.items()]


def _models_of(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for argument in getattr(annotation, "__args__", ()) for found in _models_of(argument)]


def dump(policies: Iterable[Policy]) -> str:
    """The policies as YAML, one document each, always in the same form."""
    return "---\n".join(written(policy.to_document()) for policy in policies)

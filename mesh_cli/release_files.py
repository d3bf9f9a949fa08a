"""Releases out of files: Python programs that declare them, and the YAML or JSON of a rollout."""

import runpy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from mesh_cli import reading
from mesh_policy import json_text
from mesh_policy.errors import PolicyError
from mesh_policy.releases import Release, Statement, Traffic
from mesh_policy.releases.machine import Rollout, problems


class ReleaseFileError(ValueError):
    """A file without a release that can be begun; the message names the file and the mend."""


def read(path: Path) -> list[Rollout]:
    """The releases of a file. Raises :class:`ReleaseFileError`.

    A Python program is run; what its variables hold counts: a :class:`Traffic`, a :class:`Rollout`, a release, or a list of
    statements about a service. Names that begin with an underscore are its own. ``-`` stands for documents on standard input.
    """
    try:
        found = _of_program(path) if path.suffix == ".py" else _of_documents(path)
    except ReleaseFileError:
        raise
    except ValidationError as error:
        raise ReleaseFileError("\n".join(f"{path}: {problem}" for problem in problems(error))) from None
    except PolicyError as error:
        raise ReleaseFileError(str(error)) from None
    except (ValueError, yaml.YAMLError) as error:
        raise ReleaseFileError(f"{path}: {error}") from None
    if not found:
        raise ReleaseFileError(
            f"{path}: declares no release with steps; write for example RELEASE = CanaryRelease(..., steps=[Weight(10)])"
        )
    return found


def _of_program(path: Path) -> list[Rollout]:
    if not path.is_file():
        raise ReleaseFileError(f"{path}: cannot be read: there is no such file; write the name of one that there is")
    try:
        values = runpy.run_path(str(path))
    except ValidationError:
        raise
    except Exception as error:
        raise ReleaseFileError(f"{path}: the program failed: {type(error).__name__}: {error}") from error
    found: dict[str, Rollout] = {}
    for name, value in values.items():
        if name.startswith("_"):
            continue
        for rollout in _declared(value):
            known = found.setdefault(rollout.name, rollout)
            if len(rollout.statements) > len(known.statements):
                found[rollout.name] = rollout  # a release that stands alone, and again among its statements
    return list(found.values())


def _declared(value: Any) -> Iterator[Rollout]:
    if isinstance(value, Rollout):
        yield value
    elif isinstance(value, Traffic):
        yield from value.rollouts()
    elif isinstance(value, Release) and value.stages:
        yield Rollout(release=value)
    elif isinstance(value, list | tuple) and value and all(isinstance(item, Statement) for item in value):
        yield from Traffic(*value).rollouts()


def _of_documents(path: Path) -> list[Rollout]:
    text = reading.text(path)
    try:
        documents = [json_text.parse(text)] if path.suffix == ".json" else list(yaml.safe_load_all(text))
    except RecursionError:  # PyYAML goes one call deeper for each level
        raise ReleaseFileError(f"{path}: {json_text.TOO_DEEP}; a release has a few") from None
    found = []
    for place, document in enumerate(item for item in documents if item is not None):
        if not isinstance(document, Mapping) or "release" not in document:
            raise ReleaseFileError(
                f"{path}: document {place}: is no release; it must be a map with `release`, and perhaps `statements`"
            )
        found.append(Rollout.model_validate(document))
    return found

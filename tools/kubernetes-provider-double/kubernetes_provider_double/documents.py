"""YAML as objects. Pure, but for the files that are named."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from kubernetes_provider_double.errors import ProviderError
from kubernetes_provider_double.objects import Object


def documents(text: str, where: str) -> list[Object]:
    """The objects of a YAML text, those of lists among them. Raises :class:`ProviderError` naming ``where``."""
    try:
        found = [document for document in yaml.safe_load_all(text) if document]
    except yaml.YAMLError as error:
        raise ProviderError(f"{where}: {error}") from None
    return list(_flat(found, where))


def _flat(found: Iterable[Any], where: str) -> Iterable[Object]:
    for document in found:
        if not isinstance(document, dict) or not isinstance(document.get("kind"), str):
            raise ProviderError(f"{where}: a document is no object of Kubernetes (it has no kind)")
        if document["kind"].endswith("List") and isinstance(document.get("items"), list):
            yield from _flat(document["items"], where)
        else:
            yield document


def given(inputs: dict[str, Any]) -> list[Object]:
    """All objects of a component's inputs."""
    found = list(_flat(inputs.get("objs") or [], "objs"))
    if inputs.get("yaml"):
        found += documents(inputs["yaml"], "yaml")
    named = inputs.get("files") or []
    files = [*([named] if isinstance(named, str) else named), *([inputs["file"]] if inputs.get("file") else [])]
    return [*found, *(document for name in files for document in documents(_read(name), name))]


def _read(name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8")
    except OSError as error:
        raise ProviderError(f"{name}: {error.strerror}") from None

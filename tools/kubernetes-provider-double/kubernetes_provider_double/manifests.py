"""YAML as resources: ``yaml/v2:ConfigGroup`` and ``yaml/v2:ConfigFile``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pulumi
import yaml
from pulumi.provider.experimental import provider as protocol

from kubernetes_provider_double.errors import ProviderError
from kubernetes_provider_double.objects import SKIP_AWAIT, Object, metadata
from kubernetes_provider_double.values import Properties, has_unknown, plain_map

COMPONENTS = ("kubernetes:yaml/v2:ConfigGroup", "kubernetes:yaml/v2:ConfigFile")
FIRST = ("Namespace", "CustomResourceDefinition")
"""Kinds that others need."""


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


async def construct(request: protocol.ConstructRequest) -> protocol.ConstructResponse:
    """Register each object below the component: definitions and namespaces first, the others when these are ready."""
    if request.resource_type not in COMPONENTS:
        raise ProviderError(f"{request.resource_type} is not known to the test double of the provider")
    component = pulumi.ComponentResource(request.resource_type, request.name, {}, request.options)
    inputs = plain_map(request.inputs)
    found = [] if has_unknown(inputs) else given(inputs)
    prefix = inputs.get("resourcePrefix") or request.name
    first: list[pulumi.Resource] = []
    for value in sorted(found, key=lambda value: value["kind"] not in FIRST):
        after = () if value["kind"] in FIRST else first
        made = _resource(value, prefix, component, after, inputs, request.inputs)
        if value["kind"] in FIRST:
            first.append(made)
        await made.urn.future()
    component.register_outputs({})
    urn = await component.urn.future()
    return protocol.ConstructResponse(str(urn), {}, {})


def _resource(
    value: Object,
    prefix: str,
    component: pulumi.Resource,
    after: Sequence[pulumi.Resource],
    inputs: dict[str, Any],
    marks: Properties,
) -> pulumi.CustomResource:
    if inputs.get("skipAwait"):
        own = metadata(value)
        value = {**value, "metadata": {**own, "annotations": {**own.get("annotations", {}), SKIP_AWAIT: "true"}}}
    version, own = value["apiVersion"], metadata(value)
    place = "/".join(str(part) for part in (own.get("namespace"), own.get("name")) if part)
    secret = any(mark.contains_secret() for mark in marks.values())
    content = {name: pulumi.Output.secret(part) if secret else part for name, part in value.items()}
    if secret:
        content |= {"apiVersion": version, "kind": value["kind"]}
    return pulumi.CustomResource(
        f"kubernetes:{version if '/' in version else f'core/{version}'}:{value['kind']}",
        f"{prefix}:{place}",
        content,
        pulumi.ResourceOptions(parent=component, depends_on=list(after)),
    )

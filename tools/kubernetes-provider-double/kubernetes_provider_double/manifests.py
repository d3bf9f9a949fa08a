"""YAML as resources: ``yaml/v2:ConfigGroup`` and ``yaml/v2:ConfigFile``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi
from pulumi.provider.experimental import provider as protocol

from kubernetes_provider_double import documents
from kubernetes_provider_double.errors import ProviderError
from kubernetes_provider_double.objects import SKIP_AWAIT, Object, metadata
from kubernetes_provider_double.unknown import has_unknown
from kubernetes_provider_double.values import Properties, plain_map

COMPONENTS = ("kubernetes:yaml/v2:ConfigGroup", "kubernetes:yaml/v2:ConfigFile")
FIRST = ("Namespace", "CustomResourceDefinition")
"""Kinds that others need."""


async def construct(request: protocol.ConstructRequest) -> protocol.ConstructResponse:
    """Register each object below the component: definitions and namespaces first, the others when these are ready."""
    if request.resource_type not in COMPONENTS:
        raise ProviderError(f"{request.resource_type} is not known to the test double of the provider")
    component = pulumi.ComponentResource(request.resource_type, request.name, {}, request.options)
    inputs = plain_map(request.inputs)
    found = [] if has_unknown(inputs) else documents.given(inputs)
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

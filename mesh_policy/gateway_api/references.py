"""What an object of the Gateway API refers to, wherever in it: backends (of rules, mirrors, external authorization), secrets,
certificates, extensions. Parents of routes are not among them: :mod:`mesh_policy.gateway_api.attachment` has those.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel

from mesh_policy.gateway_api.attachment import Reference
from mesh_policy.gateway_api.backend_refs import Backend
from mesh_policy.gateway_api.kind import GatewayApiPolicy
from mesh_policy.gateway_api.object_refs import LocalObjectReference, ObjectReference, SecretReference
from mesh_policy.gateway_api.refusals import Path

_Pointing = Backend | SecretReference | ObjectReference | LocalObjectReference


@dataclass(frozen=True, slots=True)
class Found:
    """A reference, its place in YAML's names (``spec``, ``rules``, 0, ``backendRefs``, 0), and the port of a backend.

    In another namespace than that of the object it takes a ReferenceGrant there:
    :func:`mesh_policy.gateway_api.attachment.is_granted`.
    """

    path: Path
    target: Reference
    port: int | None


def reference_of(policy: GatewayApiPolicy) -> Reference:
    """The object itself, as it is referred to or refers."""
    return Reference(policy.GROUP, policy.KIND, policy.metadata.namespace, policy.metadata.name)


def references(policy: GatewayApiPolicy) -> Iterator[Found]:
    """Everything that the object refers to, in the order of its fields, with the defaults of group, kind and namespace."""
    for path, item in _pointing(policy.spec, ("spec",)):
        yield Found(path, _target(item, policy.metadata.namespace), item.port if isinstance(item, Backend) else None)


def _pointing(value: object, path: Path) -> Iterator[tuple[Path, _Pointing]]:
    if isinstance(value, _Pointing):
        yield path, value
    if isinstance(value, BaseModel):
        for name, info in type(value).model_fields.items():
            yield from _pointing(getattr(value, name), (*path, info.alias or name))
    elif isinstance(value, tuple):
        for place, item in enumerate(value):
            yield from _pointing(item, (*path, place))


def _target(item: _Pointing, own: str) -> Reference:
    group, kind = item.group or "", item.kind
    if kind is None:
        kind = "Service" if isinstance(item, Backend) else "Secret"
    namespace = None if isinstance(item, LocalObjectReference) else item.namespace
    return Reference(group, kind, namespace or own, item.name)

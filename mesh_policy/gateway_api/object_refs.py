"""References to other objects by group, kind, name and perhaps namespace."""

from mesh_policy.base import Model
from mesh_policy.gateway_api.names import Group, Kind, NamespaceName, ObjectName


class LocalObjectReference(Model):
    """An object of the same namespace."""

    group: Group
    kind: Kind
    name: ObjectName


class ObjectReference(Model):
    """An object; ``namespace`` is by default that of the object which refers to it."""

    group: Group
    kind: Kind
    name: ObjectName
    namespace: NamespaceName | None = None


class SecretReference(Model):
    """A Secret or what stands for one; ``group`` is by default the core's (``""``), ``kind`` ``Secret``.

    In another namespace it takes a ReferenceGrant there.
    """

    group: Group | None = None
    kind: Kind | None = None
    name: ObjectName
    namespace: NamespaceName | None = None

"""References to other objects by group, kind, name and perhaps namespace."""

from mesh_policy.base import Model
from mesh_policy.gateway_api.names import Group, Kind, NamespaceName, ObjectName


class LocalObjectReference(Model):
    """An object of the same namespace."""

    group: Group
    """API group of the object; ``""`` for the core group."""
    kind: Kind
    """Kind of the object, such as ``ConfigMap``."""
    name: ObjectName
    """Name of the object, in the namespace of what refers to it."""


class ObjectReference(Model):
    """An object of any namespace, or of none."""

    group: Group
    """API group of the object; ``""`` for the core group."""
    kind: Kind
    """Kind of the object, such as ``ConfigMap``."""
    name: ObjectName
    """Name of the object."""
    namespace: NamespaceName | None = None
    """Namespace of the object; default that of the Gateway, and another one must allow it by a ReferenceGrant. A
    GatewayClass has none: there it is required, unless the object has none either."""


class SecretReference(Model):
    """A Secret, or what stands for one."""

    group: Group | None = None
    """API group of the object; default ``""``, the core group."""
    kind: Kind | None = None
    """Kind of the object; default ``Secret``. Istio takes no other."""
    name: ObjectName
    """Name of the Secret. Where it does not exist, what refers to it does not work."""
    namespace: NamespaceName | None = None
    """Namespace of the Secret; default the Gateway's. Another one must allow it by a ReferenceGrant."""

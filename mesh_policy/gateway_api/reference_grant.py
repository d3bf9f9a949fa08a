"""ReferenceGrant: which objects of other namespaces may refer to objects of this one."""

from typing import Annotated, ClassVar, Literal

from mesh_policy.base import Model
from mesh_policy.gateway_api.constraints import Items
from mesh_policy.gateway_api.kind import GatewayApiPolicy
from mesh_policy.gateway_api.names import Group, Kind, NamespaceName, ObjectName


class GrantFrom(Model):
    """Objects of a kind in a namespace, which may refer."""

    group: Group
    kind: Kind
    namespace: NamespaceName


class GrantTo(Model):
    """Objects of a kind in the grant's namespace, to which may be referred: all, or the one named."""

    group: Group
    kind: Kind
    name: ObjectName | None = None


class ReferenceGrantSpec(Model):
    """Each of ``from_`` may refer to each of ``to``."""

    from_: Annotated[tuple[GrantFrom, ...], Items(16, least=1)]
    to: Annotated[tuple[GrantTo, ...], Items(16, least=1)]


class ReferenceGrant(GatewayApiPolicy):
    """See :class:`ReferenceGrantSpec`."""

    KIND: ClassVar[str] = "ReferenceGrant"
    kind: Literal["ReferenceGrant"] = "ReferenceGrant"
    spec: ReferenceGrantSpec

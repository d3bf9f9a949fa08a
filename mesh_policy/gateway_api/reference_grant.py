"""ReferenceGrant: which objects of other namespaces may refer to objects of this one."""

from typing import Annotated, ClassVar, Literal

from mesh_policy.base import Model
from mesh_policy.gateway_api.constraints import Items
from mesh_policy.gateway_api.kind import GatewayApiPolicy
from mesh_policy.gateway_api.names import Group, Kind, NamespaceName, ObjectName


class GrantFrom(Model):
    """Objects of a kind in a namespace that may refer."""

    group: Group
    """API group of the objects that may refer; ``""`` for the core group."""
    kind: Kind
    """Kind of the objects that may refer: a kind of routes for backends, ``Gateway`` for Secrets."""
    namespace: NamespaceName
    """Namespace of the objects that may refer; there is no wildcard."""


class GrantTo(Model):
    """Objects of a kind in the grant's namespace that may be referred to."""

    group: Group
    """API group of the objects that may be referred to; ``""`` for the core group."""
    kind: Kind
    """Kind of the objects that may be referred to, such as ``Service`` or ``Secret``."""
    name: ObjectName | None = None
    """Name of the one object that is meant; default all of that kind in the grant's namespace."""


class ReferenceGrantSpec(Model):
    """Who of other namespaces may refer to what of this one. Routes need none for a Gateway, which itself lets them in."""

    from_: Annotated[tuple[GrantFrom, ...], Items(16, least=1)]
    """Who may refer: 1 to 16 entries, of which one must fit."""
    to: Annotated[tuple[GrantTo, ...], Items(16, least=1)]
    """What may be referred to, in the grant's namespace: 1 to 16 entries, of which one must fit."""


class ReferenceGrant(GatewayApiPolicy):
    """See :class:`ReferenceGrantSpec`."""

    KIND: ClassVar[str] = "ReferenceGrant"
    kind: Literal["ReferenceGrant"] = "ReferenceGrant"
    spec: ReferenceGrantSpec

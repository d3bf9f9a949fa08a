"""What the access log says of an access that no policy allows: of the first policies, which of their conditions failed first.

Conditions are named, and no more: what they want and what they saw may be secret. `mesh authz why` tells that.
"""

from typing import Final

from mesh_api.config import Rbac
from mesh_proxy.authorization.access import Access
from mesh_proxy.authorization.explain import Clause, trace

NAMED: Final = 3
"""Of so many policies it is said: whoever is refused should not cost more than whoever is served."""


def failed(rules: Rbac, access: Access) -> str:
    """``POLICY:CONDITION``, joined by commas; empty where there is no policy."""
    told = [f"{policy.name}:{_first(trace(policy, access)[1])}" for policy in rules.policies[:NAMED]]
    return ",".join([*told, "..."] if len(rules.policies) > NAMED else told)


def _first(clauses: tuple[Clause, ...]) -> str:
    return clauses[0].subject if clauses else "anything"

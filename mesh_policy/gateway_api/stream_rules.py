"""Rules of routes that know no requests: TLSRoute and TCPRoute."""

from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import AfterValidator

from mesh_policy.base import Model
from mesh_policy.gateway_api.backend_refs import WeightedBackend
from mesh_policy.gateway_api.constraints import Items
from mesh_policy.gateway_api.names import SectionName
from mesh_policy.gateway_api.refusals import Refusal, refuse
from mesh_policy.gateway_api.rules import same_names


class StreamRule(Model):
    """One rule: all connections go to its backends."""

    name: SectionName | None = None
    """Name of the rule, for objects that refer to it; no two rules of a route have the same."""
    backend_refs: Annotated[tuple[WeightedBackend, ...], Items(16, least=1)]
    """Backends that share the connections, 1 to 16. The share of one that is not valid is refused."""


def _fit(value: Sequence[StreamRule]) -> Sequence[StreamRule]:
    refuse(value, same_names(value))
    return value


StreamRules = Annotated[tuple[StreamRule, ...], Items(16, least=1), AfterValidator(_fit)]
"""One rule; up to 16 in v1alpha2, of which nothing says when the second would hold."""


def several(rules: Sequence[StreamRule]) -> Iterator[Refusal]:
    """What v1 has against several rules."""
    if len(rules) > 1:
        yield ("spec", "rules"), f"has {len(rules)} items; at most 1 is allowed: put the backends into one rule"

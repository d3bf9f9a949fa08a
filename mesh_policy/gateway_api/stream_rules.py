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
    """One rule: connections go to ``backend_refs``, by their weights; with none that is valid they are refused."""

    name: SectionName | None = None
    backend_refs: Annotated[tuple[WeightedBackend, ...], Items(16, least=1)]


def _fit(value: Sequence[StreamRule]) -> Sequence[StreamRule]:
    refuse(value, same_names(value))
    return value


StreamRules = Annotated[tuple[StreamRule, ...], Items(16, least=1), AfterValidator(_fit)]
"""One rule; up to 16 in v1alpha2, of which nothing says when the second would hold."""


def several(rules: Sequence[StreamRule]) -> Iterator[Refusal]:
    """What v1 has against several rules."""
    if len(rules) > 1:
        yield ("spec", "rules"), f"has {len(rules)} items; at most 1 is allowed: put the backends into one rule"

"""Selectors of namespaces and services by their labels, with the operators that Kubernetes knows."""

from typing import Literal, Self

from pydantic import model_validator

from mesh_policy.base import Labels
from mesh_policy.gateway_api.selectors import LabelExpression, LabelSelector


class KnownExpression(LabelExpression):
    """A condition on one label. Istio finds out when it runs whether it makes sense, and selects nothing if it does not."""

    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """``In`` and ``NotIn`` compare with ``values``, ``Exists`` and ``DoesNotExist`` ask for the label alone."""

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        compares = self.operator in ("In", "NotIn")
        if compares and not self.values:
            raise ValueError(f"{self.operator} needs values")
        if not compares and self.values:
            raise ValueError(f"{self.operator} takes no values; remove them, or write In or NotIn")
        return self


class KnownSelector(LabelSelector):
    """Conditions on labels, which must all hold; without any, everything is selected."""

    match_labels: Labels | None = None
    """Labels that must be there with just these values, all of them."""
    match_expressions: tuple[KnownExpression, ...] | None = None
    """Further conditions, which must all hold."""

"""Selectors of namespaces by their labels."""

from collections.abc import Mapping
from typing import Annotated

from mesh_policy.base import Labels, Model
from mesh_policy.gateway_api.constraints import Entries


class LabelExpression(Model):
    """A condition on one label: ``operator`` is ``In``, ``NotIn`` (with ``values``), ``Exists`` or ``DoesNotExist``."""

    key: str
    operator: str
    values: tuple[str, ...] | None = None

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether labels fulfil it; an operator that is unknown (kube-apiserver takes any text here) nothing does."""
        values = self.values or ()
        match self.operator:
            case "In":
                return labels.get(self.key) in values
            case "NotIn":
                return bool(values) and labels.get(self.key) not in values
            case "Exists":
                return not values and self.key in labels
            case "DoesNotExist":
                return not values and self.key not in labels
            case _:
                return False


class LabelSelector(Model):
    """All of ``match_labels`` and ``match_expressions`` must hold; without any, everything is selected."""

    match_labels: Annotated[Labels, Entries()] | None = None
    match_expressions: tuple[LabelExpression, ...] | None = None

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether it selects what has these labels."""
        exact = all(labels.get(key) == value for key, value in (self.match_labels or {}).items())
        return exact and all(expression.holds(labels) for expression in self.match_expressions or ())

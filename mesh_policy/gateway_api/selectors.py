"""Selectors of namespaces by their labels."""

from collections.abc import Mapping
from typing import Annotated

from mesh_policy.base import Labels, Model
from mesh_policy.gateway_api.constraints import Entries


class LabelExpression(Model):
    """A condition on one label."""

    key: str
    """Name of the label."""
    operator: str
    """``In`` and ``NotIn`` compare with ``values`` (``NotIn`` holds without the label too), ``Exists`` and
    ``DoesNotExist`` ask for the label alone. With any other the condition never holds."""
    values: tuple[str, ...] | None = None
    """What the label is compared with: required for ``In`` and ``NotIn``, excluded with the others."""

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
    """Conditions on labels, which must all hold; without any, everything is selected."""

    match_labels: Annotated[Labels, Entries()] | None = None
    """Labels that must be there with just these values, all of them."""
    match_expressions: tuple[LabelExpression, ...] | None = None
    """Further conditions, which must all hold."""

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether it selects what has these labels."""
        exact = all(labels.get(key) == value for key, value in (self.match_labels or {}).items())
        return exact and all(expression.holds(labels) for expression in self.match_expressions or ())

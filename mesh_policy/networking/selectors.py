"""Labels, and the selector by ``labels`` that this group's kinds share (``matchLabels``: :mod:`mesh_policy.selectors`)."""

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from mesh_policy.base import Model
from mesh_policy.selectors import LabelName, LabelValue

_DNS = r"[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?"
_QUALIFIED = r"(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_NAME = re.compile(rf"(?:(?P<prefix>{_DNS}(?:\.{_DNS})*)/)?(?P<name>{_QUALIFIED})")
_VALUE = re.compile(rf"(?:{_QUALIFIED})?")


def _checked(labels: dict[str, str]) -> dict[str, str]:
    for name, value in labels.items():
        found = _NAME.fullmatch(name)
        if found is None or len(found["prefix"] or "") > 253 or len(found["name"]) > 63:
            raise ValueError(f"{name!r} is no name of a label; write for example app or example.com/app")
        if _VALUE.fullmatch(value) is None:
            raise ValueError(f"{name}: {value!r} is no value of a label; allowed are letters, digits, `-`, `_` and `.`")
    return labels


CheckedLabels = Annotated[dict[str, str], AfterValidator(_checked)]
"""Labels as Kubernetes takes them: names perhaps with a domain before a slash."""


class WorkloadSelector(Model):
    """Workloads of the object's namespace that carry all these labels."""

    labels: Annotated[dict[LabelName, LabelValue], Field(max_length=256)] | None = None
    """Labels that a workload must carry; without any, every workload of the namespace is selected."""

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Whether a workload with these labels is selected."""
        return all(labels.get(name) == value for name, value in (self.labels or {}).items())

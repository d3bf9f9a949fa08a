"""Property values of Pulumi's protocol as plain Python, and back. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pulumi.provider.experimental.property_value import Computed, PropertyValue

from kubernetes_provider_double.unknown import UNKNOWN

Properties = Mapping[str, PropertyValue]


def plain(value: PropertyValue) -> Any:
    """The value without its marks: whole numbers are ints, nulls in maps are left out, as the real provider does."""
    inner = value.value
    if isinstance(inner, Computed):
        return UNKNOWN
    if isinstance(inner, float):
        return int(inner) if inner.is_integer() else inner
    if isinstance(inner, Mapping):
        return plain_map(inner)
    if inner is None or isinstance(inner, (bool, str)):
        return inner
    if isinstance(inner, tuple):
        return [plain(item) for item in inner]
    raise TypeError(f"a {type(inner).__name__} is no value of a Kubernetes object")


def plain_map(values: Properties) -> dict[str, Any]:
    """As :func:`plain`, of a map."""
    return {name: plain(value) for name, value in values.items() if value.value is not None}


def wrapped(value: Any, marks: PropertyValue | None = None) -> PropertyValue:
    """The value for the protocol; what is secret in ``marks`` is secret in it, at the same place."""
    secret = marks is not None and marks.is_secret
    inner = None if marks is None else marks.value
    if value is UNKNOWN:
        made = PropertyValue.computed()
    elif isinstance(value, dict):
        below = inner if isinstance(inner, Mapping) else {}
        made = PropertyValue({name: wrapped(item, below.get(name)) for name, item in value.items()})
    elif isinstance(value, list):
        made = PropertyValue([wrapped(item) for item in value])
        # Places in lists move; what is secret at one of them is secret at all.
        secret = secret or (marks is not None and isinstance(inner, (list, tuple)) and marks.contains_secret())
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        made = PropertyValue(float(value))
    else:
        made = PropertyValue(value)
    return made.with_secret(True) if secret else made


def wrapped_map(values: Mapping[str, Any], marks: Properties) -> dict[str, PropertyValue]:
    """As :func:`wrapped`, of a map."""
    return {name: wrapped(value, marks.get(name)) for name, value in values.items()}

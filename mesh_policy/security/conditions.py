"""The ``when`` part of a rule: attributes by name, and the values they may have."""

from collections.abc import Callable, Iterable
from typing import Self

from pydantic import model_validator

from mesh_policy.base import Model
from mesh_policy.security import values

Check = Callable[[str], str]


def _anything(value: str) -> str:
    return value


ATTRIBUTES: dict[str, Check] = {
    "source.ip": values.check_address,
    "remote.ip": values.check_address,
    "source.namespace": _anything,
    "source.serviceAccount": values.check_service_account,
    "source.principal": _anything,
    "source.trustDomain": values.check_wildcard,
    "request.auth.principal": _anything,
    "request.auth.audiences": _anything,
    "request.auth.presenter": _anything,
    "destination.ip": values.check_address,
    "destination.port": values.check_port,
    "connection.sni": _anything,
}
"""Attributes with a fixed name, each with what its values must be."""
PREFIXES = ("request.headers", "request.auth.claims", "experimental.envoy.filters.")
"""Attributes that end in a name in brackets: ``request.headers[x-token]``."""
GONE = {
    "destination.namespace": "it is the policy's own namespace; write metadata.namespace",
    "destination.name": "it is gone since v1alpha1; use the selector",
    "destination.user": "it is gone since v1alpha1; use the selector",
}
"""Attributes that were, and what replaces them."""
MAX_ACCOUNTS = 16
"""Service accounts in one list (Istio's limit)."""


def check_attribute(key: str, compared: Iterable[str]) -> None:
    """Whether the attribute exists and takes these values; :class:`ValueError` that says what is wrong otherwise."""
    compared = list(compared)
    check = _check_of(key)
    for value in compared:
        if not value:
            raise ValueError(f"{key}: an empty value matches nothing; remove it, or write `*` for any")
        check(value)
    if key == "source.serviceAccount" and len(compared) > MAX_ACCOUNTS:
        raise ValueError(f"{key}: at most {MAX_ACCOUNTS} values are allowed")


def _check_of(key: str) -> Check:
    if key in ATTRIBUTES:
        return ATTRIBUTES[key]
    if key.startswith(PREFIXES):
        start = key.find("[")
        if not key.endswith("]") or not 0 < start < len(key.encode()) - 2:
            raise ValueError(f"key {key!r}: ends in a name in brackets, as in request.headers[x-token]")
        return _anything
    if key.startswith("destination.labels"):
        raise ValueError(f"key {key!r}: labels of the workload are chosen by the selector")
    if key in GONE:
        raise ValueError(f"key {key!r}: {GONE[key]}")
    known = ", ".join([*ATTRIBUTES, *(f"{prefix}[NAME]" for prefix in PREFIXES)])
    raise ValueError(f"key {key!r}: there is no such attribute; allowed are {known}")


class Condition(Model):
    """One attribute: it must have one of ``values``, and none of ``not_values``; at least one of the lists is given."""

    key: str
    """Name of the attribute: see :data:`ATTRIBUTES` and :data:`PREFIXES`, as in ``request.headers[x-token]``."""
    values: tuple[str, ...] | None = None
    """Values of which the attribute must have one: exact, ``abc*``, ``*abc`` or ``*``; unset allows any."""
    not_values: tuple[str, ...] | None = None
    """Values of which the attribute must have none."""

    @model_validator(mode="after")
    def _attribute(self) -> Self:
        if not self.key:
            raise ValueError("key must not be empty; write for example source.ip")
        if not self.values and not self.not_values:
            raise ValueError(f"key {self.key}: at least one of values and notValues is required")
        for compared in (self.values or (), self.not_values or ()):
            check_attribute(self.key, compared)
        return self

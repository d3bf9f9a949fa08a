"""Identity of an object."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from mesh_policy.objects.reading import Fields


@dataclass(frozen=True, slots=True)
class Meta:
    """Name, namespace (empty for kinds that stand in none), labels and annotations. ``created``: seconds since 1970; 0 where
    no time is given, as Kubernetes reads it."""

    name: str
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    created: float = 0.0


def read_meta(fields: Fields, namespaced: bool = True) -> Meta:
    """The metadata of an object; without a namespace that of ``default``."""
    metadata = fields.inner("metadata")
    name = metadata.text("name") or metadata.text("generateName")
    if not name:
        metadata.required("name")
    namespace = (metadata.text("namespace") or "default") if namespaced else ""
    created = _seconds(metadata.values.get("creationTimestamp"))
    return Meta(name, namespace, metadata.texts("labels"), metadata.texts("annotations"), created)


def _seconds(time: object) -> float:
    try:
        return datetime.fromisoformat(str(time)).timestamp()
    except ValueError:
        return 0.0


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of an object's status: ``type``, ``status`` (``True``, ``False``, ``Unknown``), reason, message."""

    type: str
    status: str
    reason: str = ""
    message: str = ""


def read_conditions(fields: Fields) -> tuple[Condition, ...]:
    """The conditions of a map that has a list of them."""
    return tuple(
        Condition(item.text("type"), item.text("status"), item.text("reason"), item.text("message"))
        for item in fields.items("conditions")
    )

"""The settings that a proxy brings along: ``PROXY_CONFIG`` of its node's metadata, and what it is called in traces."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from mesh_policy.base import YAML_NAMES
from mesh_policy.mesh_config import ProxyConfig


@dataclass(frozen=True, slots=True)
class TraceNames:
    """What the spans of a proxy say about it; empty: it did not tell. ``service`` is its node's cluster."""

    service: str = ""
    mesh: str = ""
    cluster: str = ""
    namespace: str = ""
    workload: str = ""
    annotation: str = ""
    """``resource.opentelemetry.io/service.name`` of its pod."""
    container: str = ""
    """The application's only container."""


def trace_names(service: str, metadata: Mapping[str, Any]) -> TraceNames:
    """From the metadata of a node, which Istio's agent fills from its pod."""
    annotations = metadata.get("ANNOTATIONS")
    named = annotations.get("resource.opentelemetry.io/service.name", "") if isinstance(annotations, Mapping) else ""
    containers = str(metadata.get("APP_CONTAINERS", "")).split(",")
    return TraceNames(
        service,
        str(metadata.get("MESH_ID", "")),
        str(metadata.get("CLUSTER_ID", "")),
        str(metadata.get("NAMESPACE", "")),
        str(metadata.get("WORKLOAD_NAME", "")),
        str(named),
        containers[0] if len(containers) == 1 else "",
    )


def read_settings(value: Any) -> ProxyConfig | None:
    """The settings that a proxy runs with, in place of the mesh's as a whole (Istio); ``None``: it has none of its own.

    Fields that we do not know belong to a newer agent and are passed over. Raises :class:`ValueError` for one that cannot be
    what it is.
    """
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a mapping, not {value!r}")
    known: dict[str, Any] = dict(value)
    while True:
        try:
            return ProxyConfig.model_validate(known, by_alias=True, by_name=False, context=YAML_NAMES)
        except ValidationError as error:
            unknown = [found["loc"] for found in error.errors() if found["type"] == "extra_forbidden"]
            if not unknown:
                found = error.errors()[0]
                raise ValueError(f"{'.'.join(map(str, found['loc']))}: {found['msg']}") from None
            known = _without(known, unknown[0])


def passed_over(settings: ProxyConfig) -> list[str]:
    """Settings of a proxy that have no effect here, each with what is done instead."""
    if settings.private_key_provider is None:
        return []
    return ["privateKeyProvider is passed over: a proxy that was sent a key signs with it itself"]


def _without(value: Any, place: tuple[int | str, ...]) -> Any:
    first, *rest = place
    if isinstance(value, list):
        return [_without(item, tuple(rest)) if index == first else item for index, item in enumerate(value)]
    if not rest:
        return {key: item for key, item in value.items() if key != first}
    return {key: _without(item, tuple(rest)) if key == first else item for key, item in value.items()}

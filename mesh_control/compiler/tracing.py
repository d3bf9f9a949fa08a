"""Traces: a Telemetry's, those of the default providers, or the mesh's older settings (Istio, ``core/tracing.go``)."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from mesh_api.config import (
    EnvironmentTag,
    FormatTag,
    LiteralTag,
    MetadataTag,
    RequestHeaderTag,
    SpanTag,
    Tracing,
)
from mesh_api.config.tracing import TagValue
from mesh_control.compiler import extension_providers, telemetry, tracers
from mesh_control.compiler.scope import Scope
from mesh_control.compiler.telemetry import Side
from mesh_policy.mesh_config import ExtensionProvider, ProxyConfig
from mesh_policy.telemetry.telemetry import CustomTag

EVERYTHING, USUAL_SHARE = 100.0, 1.0
"""Percent of the requests; the second is istiod's ``PILOT_TRACE_SAMPLING``."""
RBAC: Final = "envoy.filters.http.rbac"
_DRY_RUN: Final = {"name": "shadow_effective_policy_id", "result": "shadow_engine_result"}


@dataclass(frozen=True, slots=True)
class Traces:
    """What a connection manager says of traces. ``by_request_id``: ``x-request-id`` carries the decision."""

    tracing: Tracing | None = None
    by_request_id: bool = True


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What Telemetries ask for on one side."""

    provider: ExtensionProvider | None = None
    disabled: bool = False
    sampling: float | None = None
    tags: Mapping[str, CustomTag] | None = None
    by_request_id: bool = True
    istio_tags: bool = True
    isolated: bool = False


def traces(scope: Scope, side: Side, settings: ProxyConfig) -> Traces:
    """The traces of one side of a proxy, which is run with ``settings``."""
    entries = [entry for policy in telemetry.policies_of(scope) for entry in policy.spec.tracing or ()]
    defaults = scope.world.mesh.default_providers.tracing
    if not entries and not defaults:
        return Traces(_of_mesh(scope, settings)) if scope.world.mesh.enable_tracing else Traces()
    wanted = _Wanted(extension_providers.provider(scope.world, defaults[0]) if defaults else None)
    for entry in entries:
        if telemetry.concerns(entry.match, side):
            wanted = _with(scope, wanted, entry)
    return _of_provider(scope, wanted, settings)


def _with(scope: Scope, wanted: _Wanted, entry: Any) -> _Wanted:
    """What an entry says goes over what those before it said. Only the first of several providers counts (Istio)."""
    changes: dict[str, Any] = {
        "disabled": entry.disable_span_reporting,
        "tags": entry.custom_tags or None,
        "sampling": entry.random_sampling_percentage,
        "by_request_id": entry.use_request_id_for_trace_sampling,
        "istio_tags": entry.enable_istio_tags,
        "isolated": entry.disable_context_propagation,
    }
    changes = {name: value for name, value in changes.items() if value is not None}
    if entry.providers:
        changes["provider"] = extension_providers.provider(scope.world, entry.providers[0].name)
    return replace(wanted, **changes)


def _of_mesh(scope: Scope, settings: ProxyConfig) -> Tracing:
    """Without a provider: spans go where the proxy's bootstrap says."""
    own = settings.tracing
    istio = own is None or own.enable_istio_tags is None or own.enable_istio_tags
    tags = [*(_istio_tags(scope) if istio else ()), *_settings_tags(settings)]
    return Tracing(random_sampling=_share(settings), tags=_sorted(tags), max_path_tag_length=_length(settings))


def _of_provider(scope: Scope, wanted: _Wanted, settings: ProxyConfig) -> Traces:
    """No traces where the provider is not there, is none for traces, or its service is not known (Istio)."""
    if wanted.disabled or wanted.provider is None:
        return Traces()
    made = tracers.tracer(scope, wanted.provider)
    if made is None or (scope.proxy.own and not tracers.is_known(made.tracer)):
        return Traces()
    sampling = _share(settings) if wanted.sampling is None else wanted.sampling
    tags = _istio_tags(scope) if wanted.istio_tags else []
    own = _settings_tags(settings) if not wanted.tags else map(_tag, wanted.tags.items())
    tracing = Tracing(
        random_sampling=EVERYTHING if made.samples else sampling,
        tags=_sorted([*tags, *own]),
        tracer=made.tracer,
        max_path_tag_length=made.max_tag_length or _length(settings),
        spawn_upstream_span=made.spawns or None,
        propagation=not wanted.isolated,
    )
    return Traces(tracing, wanted.by_request_id)


def _share(settings: ProxyConfig) -> float:
    return (settings.tracing.sampling if settings.tracing is not None else 0.0) or USUAL_SHARE


def _length(settings: ProxyConfig) -> int | None:
    return (settings.tracing.max_path_tag_length if settings.tracing is not None else 0) or None


# Tags.


def _sorted(tags: Iterable[SpanTag]) -> tuple[SpanTag, ...]:
    return tuple(sorted(tags, key=lambda tag: tag.name))


def said(scope: Scope) -> Hashable:
    """All that traces say of the proxy itself: what differs among proxies of the same settings."""
    return tuple(_literals(scope).items()), scope.proxy.trace_names.service, tracers.conventional_name(scope)


def _literals(scope: Scope) -> dict[str, str]:
    labels, names = scope.labels, scope.proxy.trace_names
    return {
        "istio.canonical_revision": labels.get("service.istio.io/canonical-revision") or "latest",
        "istio.canonical_service": labels.get("service.istio.io/canonical-name") or "unknown",
        "istio.mesh_id": names.mesh or "unknown",
        "istio.namespace": names.namespace or "default",
        "istio.cluster_id": names.cluster or "unknown",
    }


def _istio_tags(scope: Scope) -> list[SpanTag]:
    dry_run = [
        SpanTag(
            f"istio.authorization.dry_run.{action}_policy.{what}", MetadataTag(RBAC, (f"istio_dry_run_{action}_{key}",))
        )
        for action in ("allow", "deny")
        for what, key in _DRY_RUN.items()
    ]
    return [*(SpanTag(name, LiteralTag(value)) for name, value in _literals(scope).items()), *dry_run]


def _settings_tags(settings: ProxyConfig) -> list[SpanTag]:
    """Those of the older settings; one without a value is left out."""
    own = settings.tracing
    tags = (own.custom_tags if own is not None else None) or {}
    return [SpanTag(name, value) for name, tag in tags.items() if (value := _value(tag)) is not None]


def _tag(item: tuple[str, CustomTag]) -> SpanTag:
    name, tag = item
    if tag.formatter is not None:
        return SpanTag(name, FormatTag(tag.formatter.value))
    return SpanTag(name, _value(tag))


def _value(tag: Any) -> TagValue | None:
    """Both kinds of settings write these three alike."""
    if tag.literal is not None:
        return LiteralTag(tag.literal.value)
    if tag.environment is not None:
        return EnvironmentTag(tag.environment.name, tag.environment.default_value or "")
    if tag.header is not None:
        return RequestHeaderTag(tag.header.name, tag.header.default_value or "")
    return None

"""Settings of the whole mesh: Istio's MeshConfig, as far as analysis and simulation ask for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

from mesh_policy.objects.reading import Fields, ObjectError

ROOT_NAMESPACE = "istio-system"
"""Where policies for the whole mesh stand when nothing else is set."""


@dataclass(frozen=True, slots=True)
class MeshConfig:
    """Istio's defaults where nothing is set.

    ``providers`` maps the name of an extension provider to its kind (``zipkin``, ``lightstep`` ...), ``access_logging``,
    ``tracing`` and ``metrics`` name the default ones; ``proxy_metadata`` are the variables of every proxy;
    ``outbound`` is ``ALLOW_ANY`` or ``REGISTRY_ONLY``.
    """

    root_namespace: str = ROOT_NAMESPACE
    providers: Mapping[str, str] = field(default_factory=dict)
    access_logging: tuple[str, ...] = ()
    tracing: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    proxy_metadata: Mapping[str, str] = field(default_factory=dict)
    access_log_file: str = ""
    outbound: str = "ALLOW_ANY"
    trust_domain: str = "cluster.local"


def read_mesh_config(text: str) -> MeshConfig:
    """The settings of a YAML text. Raises :class:`ObjectError`."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" (line {mark.line + 1})" if mark is not None else ""
        raise ObjectError((), f"not YAML{place}: {getattr(error, 'problem', None) or error}") from None
    fields = Fields.of(value)
    defaults = fields.inner("defaultProviders")
    return MeshConfig(
        root_namespace=fields.text("rootNamespace") or ROOT_NAMESPACE,
        providers={item.required("name"): _kind(item) for item in fields.items("extensionProviders")},
        access_logging=_names(defaults, "accessLogging"),
        tracing=_names(defaults, "tracing"),
        metrics=_names(defaults, "metrics"),
        proxy_metadata=fields.inner("defaultConfig").texts("proxyMetadata"),
        access_log_file=fields.text("accessLogFile"),
        outbound=fields.inner("outboundTrafficPolicy").text("mode", "ALLOW_ANY"),
        trust_domain=fields.text("trustDomain") or "cluster.local",
    )


def _kind(item: Fields) -> str:
    return next((name for name in item.values if name != "name"), "")


def _names(fields: Fields, name: str) -> tuple[str, ...]:
    value = fields.values.get(name)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ObjectError((*fields.path, name), "must be a list of provider names")
    return tuple(map(str, value))

"""What the annotations of a pod ask for, under Istio's names. Pure; the values are checked as ``mesh analyze`` does."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from mesh_policy.analysis.annotations import KNOWN, VALUES
from mesh_policy.mesh_config import ProxyConfig, read_proxy_config
from mesh_policy.mesh_config.proxy_config import ANNOTATION as PROXY_CONFIG

STOP_DELAY: Final = "meshwright.io/stop-delay-seconds"
"""How long the application is left alone when it is to end; 0: not at all."""
STATUS: Final = "sidecar.istio.io/status"
"""What was injected, as Istio's injector notes it."""
TRAFFIC: Final = {
    "traffic.sidecar.istio.io/includeInboundPorts": "inbound-ports",
    "traffic.sidecar.istio.io/excludeInboundPorts": "exclude-inbound-ports",
    "traffic.sidecar.istio.io/includeOutboundIPRanges": "outbound-ranges",
    "traffic.sidecar.istio.io/excludeOutboundIPRanges": "exclude-outbound-ranges",
    "traffic.sidecar.istio.io/excludeOutboundPorts": "exclude-outbound-ports",
    "traffic.sidecar.istio.io/includeOutboundPorts": "outbound-ports",
}
"""Annotation to the option of ``mesh-proxy redirect``."""
RESOURCES: Final = {
    "sidecar.istio.io/proxyCPU": "cpu_request",
    "sidecar.istio.io/proxyMemory": "memory_request",
    "sidecar.istio.io/proxyCPULimit": "cpu_limit",
    "sidecar.istio.io/proxyMemoryLimit": "memory_limit",
}
"""Annotation to the field of :class:`~mesh_control.injection.template.Template` in whose place it stands."""
READINESS: Final = {
    f"readiness.status.sidecar.istio.io/{name}": name
    for name in ("initialDelaySeconds", "periodSeconds", "failureThreshold")
}
FLAGS: Final = {
    "sidecar.istio.io/nativeSidecar": "native",
    "sidecar.istio.io/rewriteAppHTTPProbers": "rewrites_probes",
    "prometheus.istio.io/merge-metrics": "merges_metrics",
}
LEVELS: Final = {
    **{level: level for level in ("debug", "info", "warning", "error")},
    "trace": "debug",
    "critical": "error",
    "off": "error",
}
"""Envoy's log levels, and ours for them."""
REFUSED: Final = {
    "sidecar.istio.io/bootstrapOverride": "the proxy makes its own bootstrap",
    "sidecar.istio.io/userVolume": "add the volume to the pod",
    "sidecar.istio.io/userVolumeMount": "name certificates by a Secret (credentialName)",
    "traffic.sidecar.istio.io/excludeInterfaces": "exclude the networks behind it (excludeOutboundIPRanges)",
    "traffic.sidecar.istio.io/kubevirtInterfaces": "virtual machines are not redirected",
    "istio.io/reroute-virtual-interfaces": "virtual machines are not redirected",
    "inject.istio.io/templates": "there is one template",
    "proxy.istio.io/overrides": "say it by the annotations of its parts",
}
"""Annotations that would change what is protected, or how, and are not honoured, each with what to do instead."""
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})


class WishError(ValueError):
    """An annotation that cannot be honoured; the message names it and a mend."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """``redirect`` has options of ``mesh-proxy redirect``, ``resources`` fields of the template. ``settings``: how the
    proxy is run (``proxy.istio.io/config``); ``written`` is the same as it was written. ``native``: ``None`` where nothing
    is said."""

    redirect: Mapping[str, str] = field(default_factory=dict)
    resources: Mapping[str, str] = field(default_factory=dict)
    readiness: Mapping[str, int] = field(default_factory=dict)
    image: str = ""
    log_level: str = ""
    native: bool | None = None
    stop_delay: int | None = None
    intercepted: bool = True
    rewrites_probes: bool = True
    merges_metrics: bool = True
    written: Mapping[str, Any] = field(default_factory=dict)
    settings: ProxyConfig | None = None
    warnings: tuple[str, ...] = ()


def read(annotations: Mapping[str, str]) -> Wishes:
    """Raises :class:`WishError` for the first that is wrong or cannot be honoured."""
    for name, value in sorted(annotations.items()):
        if name in REFUSED:
            raise WishError(f"annotation {name} is not honoured: {REFUSED[name]}")
        if wrong := _wrong(name, value):
            raise WishError(f"annotation {name}: {wrong}")
    settings = read_proxy_config(annotations[PROXY_CONFIG]) if PROXY_CONFIG in annotations else None
    said = annotations.get("sidecar.istio.io/interceptionMode")
    mode = said or (settings.interception_mode if settings is not None else "REDIRECT")
    if mode == "TPROXY":
        named = "sidecar.istio.io/interceptionMode" if said else f"{PROXY_CONFIG}: interceptionMode"
        raise WishError(f"annotation {named}: TPROXY is not honoured; write REDIRECT or NONE")
    flags: dict[str, Any] = {FLAGS[name]: value in _TRUE for name, value in annotations.items() if name in FLAGS}
    return Wishes(
        redirect=_named(TRAFFIC, annotations),
        resources=_named(RESOURCES, annotations),
        readiness={key: int(value) for key, value in _named(READINESS, annotations).items()},
        image=annotations.get("sidecar.istio.io/proxyImage", "").strip(),
        stop_delay=int(annotations[STOP_DELAY]) if STOP_DELAY in annotations else None,
        log_level=LEVELS.get(annotations.get("sidecar.istio.io/logLevel", ""), ""),
        intercepted=mode != "NONE",
        written=yaml.safe_load(annotations[PROXY_CONFIG]) or {} if PROXY_CONFIG in annotations else {},
        settings=settings,
        warnings=tuple(_passed_over(annotations)),
        **flags,
    )


def _wrong(name: str, value: str) -> str:
    if name in VALUES:
        wrong = VALUES[name](value)
        return wrong if not wrong or "\n" in value else f"{value!r}: {wrong}"
    if name in FLAGS and value not in _TRUE | {"0", "f", "F", "FALSE", "false", "False"}:
        return f'{value!r} is neither "true" nor "false"'
    if name == "sidecar.istio.io/logLevel" and value not in LEVELS:
        return f"{value!r} is none of {', '.join(LEVELS)}"
    if name == STOP_DELAY and not (value.isdecimal() and int(value) <= 300):
        return f"{value!r} is no number of seconds from 0 to 300"
    if name == "traffic.sidecar.istio.io/includeOutboundPorts":
        wrong = VALUES["traffic.sidecar.istio.io/excludeOutboundPorts"](value)
        return f"{value!r}: {wrong}" if wrong else ""
    return ""


def _named(table: Mapping[str, str], annotations: Mapping[str, str]) -> dict[str, str]:
    return {ours: annotations[theirs].strip() for theirs, ours in table.items() if theirs in annotations}


def _passed_over(annotations: Mapping[str, str]) -> list[str]:
    """Names below those of sidecars that nobody knows: most likely written wrongly."""
    return [
        f"annotation {name}: there is none of that name; it changes nothing"
        for name in sorted(annotations)
        if name.partition("/")[0].endswith("sidecar.istio.io") and name not in KNOWN
    ]

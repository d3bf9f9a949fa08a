"""Kinds of Istio's groups that are read and answered with what to use instead."""

from collections.abc import Mapping
from typing import Any

from mesh_policy.networking import envoy_filter

NEVER: dict[tuple[str, str], tuple[str, tuple[str, ...]]] = {
    ("extensions.istio.io", "TrafficExtension"): ("trafficextensions", ("v1alpha1",)),
    ("extensions.istio.io", "WasmPlugin"): ("wasmplugins", ("v1alpha1",)),
    ("networking.istio.io", "EnvoyFilter"): ("envoyfilters", ("v1alpha3",)),
}
"""Those of these kinds that Istio has in clusters, by group and name: the name of their collection, and their versions."""

_NO_CODE = (
    "no code is loaded into proxies. Who may do what is said by AuthorizationPolicy (another service is asked by its "
    "action CUSTOM), tokens are verified by RequestAuthentication, headers are changed by VirtualService "
    "spec.http[].headers, metrics, traces and logs by Telemetry; for anything else there is no typed kind"
)


def answer(group: str, kind: str, document: Mapping[str, Any]) -> str | None:
    """The message for a kind that will never be taken, with the typed alternative; ``None`` for any other kind."""
    match group, kind:
        case "networking.istio.io", "EnvoyFilter":
            return envoy_filter.answer(document)
        case "extensions.istio.io", "WasmPlugin" | "TrafficExtension":
            return f"{kind} is not applied: {_NO_CODE}"
        case "install.istio.io", "IstioOperator":
            return "IstioOperator installs Istio and is no policy; the environment's settings (docs/reference) do that here"
        case _:
            return None

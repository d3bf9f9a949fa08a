"""Annotations of Istio's on objects: those it does not know, on the wrong kind, deprecated, or with values that are none."""

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from mesh_policy.analysis.context import Check, Context
from mesh_policy.analysis.finding import Finding, Placed, found
from mesh_policy.analysis.pods import INJECT
from mesh_policy.base import Policy
from mesh_policy.errors import PolicyError
from mesh_policy.objects import Namespace, Object, Service, Workload


class Annotation(NamedTuple):
    """An annotation: on which kinds it means something (``Any``: on all), and whether it is deprecated."""

    kinds: tuple[str, ...]
    deprecated: bool = False


_POD = Annotation(("Pod",))
_OLD = Annotation(("Pod",), deprecated=True)

KNOWN: Mapping[str, Annotation] = {
    "alpha.istio.io/canonical-serviceaccounts": Annotation(("Service",), deprecated=True),
    "alpha.istio.io/kubernetes-serviceaccounts": Annotation(("Service",), deprecated=True),
    "ambient.istio.io/bypass-inbound-capture": _POD,
    "ambient.istio.io/dns-capture": _POD,
    "ambient.istio.io/redirection": _POD,
    "ambient.istio.io/waypoint-inbound-binding": Annotation(
        (
            "GatewayClass",
            "Gateway",
        )
    ),
    "galley.istio.io/analyze-suppress": Annotation(("Any",)),
    "gateway.istio.io/controller-version": Annotation(("Any",)),
    "gateway.istio.io/name-override": Annotation(("Gateway",)),
    "gateway.istio.io/service-account": Annotation(("Gateway",)),
    "inject.istio.io/templates": _POD,
    "istio.io/autoRegistrationGroup": Annotation(("WorkloadEntry",)),
    "istio.io/connectedAt": Annotation(("WorkloadEntry",)),
    "istio.io/disconnectedAt": Annotation(("WorkloadEntry",)),
    "istio.io/dry-run": Annotation(("AuthorizationPolicy",)),
    "istio.io/reroute-virtual-interfaces": _POD,
    "istio.io/rev": _POD,
    "istio.io/use-waypoint-canary-weight": Annotation(
        (
            "Service",
            "ServiceEntry",
            "Namespace",
        )
    ),
    "istio.io/workloadController": Annotation(("WorkloadEntry",)),
    "kubernetes.io/ingress.class": Annotation(("Ingress",)),
    "networking.istio.io/exportTo": Annotation(("Service",)),
    "networking.istio.io/service-type": Annotation(("Gateway",)),
    "networking.istio.io/traffic-distribution": Annotation(
        (
            "Namespace",
            "Service",
            "ServiceEntry",
        )
    ),
    "prometheus.istio.io/merge-metrics": _POD,
    "proxy.istio.io/config": _POD,
    "proxy.istio.io/overrides": _POD,
    "readiness.status.sidecar.istio.io/applicationPorts": _POD,
    "readiness.status.sidecar.istio.io/failureThreshold": _POD,
    "readiness.status.sidecar.istio.io/initialDelaySeconds": _POD,
    "readiness.status.sidecar.istio.io/periodSeconds": _POD,
    "sidecar.istio.io/agentLogLevel": _POD,
    "sidecar.istio.io/bootstrapOverride": _POD,
    "sidecar.istio.io/componentLogLevel": _POD,
    "sidecar.istio.io/discoveryAddress": _OLD,
    "sidecar.istio.io/extraStatTags": _OLD,
    "sidecar.istio.io/inject": _OLD,
    "sidecar.istio.io/interceptionMode": _POD,
    "sidecar.istio.io/logLevel": _POD,
    "sidecar.istio.io/nativeSidecar": _POD,
    "sidecar.istio.io/proxyCPU": _POD,
    "sidecar.istio.io/proxyCPULimit": _POD,
    "sidecar.istio.io/proxyImage": _POD,
    "sidecar.istio.io/proxyImageType": _POD,
    "sidecar.istio.io/proxyMemory": _POD,
    "sidecar.istio.io/proxyMemoryLimit": _POD,
    "sidecar.istio.io/rewriteAppHTTPProbers": _POD,
    "sidecar.istio.io/statsCompression": _OLD,
    "sidecar.istio.io/statsEvictionInterval": _POD,
    "sidecar.istio.io/statsFlushInterval": _POD,
    "sidecar.istio.io/statsHistogramBins": _POD,
    "sidecar.istio.io/statsHistogramBuckets": _POD,
    "sidecar.istio.io/statsInclusionPrefixes": _OLD,
    "sidecar.istio.io/statsInclusionRegexps": _OLD,
    "sidecar.istio.io/statsInclusionSuffixes": _OLD,
    "sidecar.istio.io/status": _POD,
    "sidecar.istio.io/userVolume": _POD,
    "sidecar.istio.io/userVolumeMount": _POD,
    "status.sidecar.istio.io/port": _POD,
    "topology.istio.io/controlPlaneClusters": Annotation(("Namespace",)),
    "traffic.istio.io/nodeSelector": Annotation(("Service",)),
    "traffic.sidecar.istio.io/excludeInboundPorts": _POD,
    "traffic.sidecar.istio.io/excludeInterfaces": _POD,
    "traffic.sidecar.istio.io/excludeOutboundIPRanges": _POD,
    "traffic.sidecar.istio.io/excludeOutboundPorts": _POD,
    "traffic.sidecar.istio.io/includeInboundPorts": _POD,
    "traffic.sidecar.istio.io/includeOutboundIPRanges": _POD,
    "traffic.sidecar.istio.io/includeOutboundPorts": _POD,
    "traffic.sidecar.istio.io/kubevirtInterfaces": _OLD,
}
"""Every annotation that Istio knows."""

IGNORED = frozenset({"sidecar.istio.io/status", "gateway.istio.io/controller-version", "istio.io/rev"})
"""Written by Istio itself, on whatever it likes."""


def _ports(value: str) -> str:
    for port in filter(None, (part.strip() for part in value.split(","))):
        if not port.isdecimal() or int(port) > 65535:
            return f"{port!r} is no port"
    return ""


def _included_ports(value: str) -> str:
    return "" if value.strip() == "*" else _ports(value)


def _ranges(value: str) -> str:
    for part in filter(None, (part.strip() for part in value.split(","))):
        try:
            if "/" not in part:
                raise ValueError
            ipaddress.ip_network(part, strict=False)
        except ValueError:
            return f"{part!r} is no range such as 10.0.0.0/8"
    return ""


def _included_ranges(value: str) -> str:
    return "" if value.strip() == "*" else _ranges(value)


def _whole(value: str) -> str:
    return "" if value.isdecimal() and int(value) < 2**32 else "must be a whole number"


def _port(value: str) -> str:
    return "" if value.isdecimal() and int(value) <= 65535 else "must be a port"


def _flag(value: str) -> str:
    # Go's words for true and false.
    words = {"1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"}
    return "" if value in words else "must be true or false"


def _mode(value: str) -> str:
    return "" if value in ("REDIRECT", "TPROXY", "NONE") else "must be REDIRECT, TPROXY or NONE"


_QUANTITY = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]|[eE][+-]?[0-9]+)?")


def _quantity(value: str) -> str:
    return "" if _QUANTITY.fullmatch(value) else "must be a quantity such as 100m or 128Mi"


@lru_cache(maxsize=64)  # the pods of a workload have the same
def _proxy_config(value: str) -> str:
    from mesh_policy.mesh_config import read_proxy_config  # seldom needed, so late

    try:
        read_proxy_config(value)
    except PolicyError as error:
        first = error.problems[0]
        return f"line {first.line}: {first.field}: {first.message}" if first.field else first.message
    return ""


VALUES: Mapping[str, Callable[[str], str]] = {
    "proxy.istio.io/config": _proxy_config,
    "sidecar.istio.io/interceptionMode": _mode,
    "status.sidecar.istio.io/port": _port,
    "readiness.status.sidecar.istio.io/initialDelaySeconds": _whole,
    "readiness.status.sidecar.istio.io/periodSeconds": _whole,
    "readiness.status.sidecar.istio.io/failureThreshold": _whole,
    "traffic.sidecar.istio.io/includeOutboundIPRanges": _included_ranges,
    "traffic.sidecar.istio.io/excludeOutboundIPRanges": _ranges,
    "traffic.sidecar.istio.io/includeInboundPorts": _included_ports,
    "traffic.sidecar.istio.io/excludeInboundPorts": _ports,
    "traffic.sidecar.istio.io/excludeOutboundPorts": _ports,
    "prometheus.istio.io/merge-metrics": _flag,
    "sidecar.istio.io/proxyCPU": _quantity,
    "sidecar.istio.io/proxyMemory": _quantity,
    "sidecar.istio.io/proxyCPULimit": _quantity,
    "sidecar.istio.io/proxyMemoryLimit": _quantity,
}
"""Annotations whose values injection checks; each says what is wrong, nothing when the value is one."""


def annotations(context: Context) -> Iterator[Finding]:
    """IST0107, IST0108, IST0125 and IST0135."""
    for placed in context.of(Namespace):
        yield from _of(placed, "Namespace")
    for service in context.of(Service):
        yield from _of(service, "Service")
    for workload in context.of(Workload):
        if workload.value.kind in ("Pod", "Deployment"):
            yield from _of(workload, workload.value.kind)


def _of(placed: Placed[Policy | Object], kind: str) -> Iterator[Finding]:
    for name, value in placed.annotations.items():
        if not _is_istios(name) or name in IGNORED:
            continue
        path = ("metadata", "annotations", name)
        known = KNOWN.get(name)
        if known is None:
            yield found("IST0108", placed, path, f"Istio knows no annotation {name}; it has no effect")
            continue
        if known.deprecated and not (name == INJECT and INJECT in placed.labels):
            instead = "; set the label of that name on the pods instead" if name == INJECT else ""
            yield found("IST0135", placed, path, f"{name} is deprecated{instead}")
        if "Any" in known.kinds:
            continue
        if kind not in known.kinds:
            hint = "; put it into the pod template's metadata" if kind == "Deployment" and "Pod" in known.kinds else ""
            message = f"{name} means something on {' and '.join(known.kinds)} only{hint}"
            yield found("IST0107", placed, path, message)
        elif wrong := VALUES.get(name, _anything)(value):
            shown = "" if "\n" in value else f"{value!r}: "
            yield found("IST0125", placed, path, f"{name}: {shown}{wrong}")


def _anything(_value: str) -> str:
    return ""


def _is_istios(name: str) -> bool:
    return name == "kubernetes.io/ingress.class" or name.partition("/")[0].endswith("istio.io")


CHECKS: Sequence[Check] = (annotations,)

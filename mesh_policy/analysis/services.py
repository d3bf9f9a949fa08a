"""Services and what runs behind them: names of ports, ports that clash, the user of the proxy."""

from collections.abc import Iterator, Mapping, Sequence

from mesh_policy.analysis.context import Check, Context
from mesh_policy.analysis.finding import Finding, Placed, found
from mesh_policy.analysis.pods import Pods
from mesh_policy.objects import Container, Service, Workload
from mesh_policy.positions import Path

PROXY_USER = 1337
MANAGED = "gateway.istio.io/managed"
_CONTROLLERS = ("istio.io-gateway-controller", "istio.io-mesh-controller", "istio.io-eastwest-controller")
_WAYPOINT = "istio.io-mesh-controller"
_OWN_CONTAINERS = ("istio-proxy", "istio-operator")


def is_control_plane(labels: Mapping[str, str]) -> bool:
    """Whether an object is part of Istio's installation."""
    return "istio" in labels or labels.get("release") == "istio"


def port_names(context: Context) -> Iterator[Finding]:
    """IST0118 and IST0150: ports whose protocol nothing says."""
    for placed in context.of(Service):
        if is_control_plane(placed.labels) or placed.labels.get(MANAGED) in _CONTROLLERS:
            continue
        external = placed.value.type == "ExternalName"
        for place, port in enumerate(placed.value.ports):
            path: Path = ("spec", "ports", place)
            if port.protocol and not (external and port.name == "tcp"):
                continue
            if external:
                message = (
                    f"port {port.number} of an ExternalName service is {port.name or 'unnamed'!r}: the proxy would take all "
                    "traffic of that port for it; name it after its protocol, such as http or tls"
                )
                yield found("IST0150", placed, path, message)
            else:
                message = (
                    f"the name {port.name!r} of port {port.number} does not say its protocol, so the proxy guesses; "
                    "name it PROTOCOL or PROTOCOL-SUFFIX, such as http-api, or set appProtocol"
                )
                yield found("IST0118", placed, path, message)


def shared_ports(context: Context) -> Iterator[Finding]:
    """IST0116 and IST0137: services of one workload that contradict each other."""
    services: dict[str, list[Placed[Service]]] = {}
    for placed in context.of(Service):
        if placed.value.selector:
            services.setdefault(placed.namespace, []).append(placed)
    by_label = {namespace: _ByLabel(known) for namespace, known in services.items()}
    pods = context.pods or Pods(())
    for pod in pods:
        workload = pod.placed
        if workload is None or workload.value.kind != "Deployment" or not pod.in_mesh:
            continue
        if workload.labels.get(MANAGED) == _WAYPOINT or pod.namespace not in by_label:
            continue
        chosen = by_label[pod.namespace].selecting(workload.value.pod.labels)
        if len(chosen) > 1:
            yield from _transports(workload, chosen)
            yield from _targets(workload, chosen)


class _ByLabel:
    """Services of a namespace, found by one label that they select by."""

    def __init__(self, services: Sequence[Placed[Service]]) -> None:
        self._services: dict[tuple[str, str], list[Placed[Service]]] = {}
        for placed in services:
            self._services.setdefault(min(placed.value.selector.items()), []).append(placed)

    def selecting(self, labels: Mapping[str, str]) -> list[Placed[Service]]:
        """Those that select a pod with these labels."""
        candidates = (placed for label in labels.items() for placed in self._services.get(label, ()))
        return [placed for placed in candidates if placed.value.selector.items() <= labels.items()]


def _transports(workload: Placed[Workload], services: Sequence[Placed[Service]]) -> Iterator[Finding]:
    ports: dict[int, dict[str, list[str]]] = {}
    for service in services:
        for port in service.value.ports:
            ports.setdefault(port.number, {}).setdefault(port.transport, []).append(service.full_name)
    for number, transports in sorted(ports.items()):
        if len(transports) > 1:
            names = ", ".join(sorted({name for known in transports.values() for name in known}))
            message = (
                f"services {names} use port {number} with {' and '.join(sorted(transports))}; give them different ports"
            )
            yield found("IST0116", workload, ("metadata", "name"), message)


def _targets(workload: Placed[Workload], services: Sequence[Placed[Service]]) -> Iterator[Finding]:
    targets: dict[str, dict[int, str]] = {}
    for service in services:
        for port in service.value.ports:
            targets.setdefault(str(port.target or port.number), {})[port.number] = service.full_name
    for target, ports in sorted(targets.items()):
        if len(ports) > 1:
            names = ", ".join(sorted(set(ports.values())))
            numbers = " and ".join(map(str, sorted(ports)))
            message = (
                f"services {names} lead to its port {target} from ports {numbers}: what applies to requests that arrive "
                "is not defined; use one port for all of them"
            )
            yield found("IST0137", workload, ("metadata", "name"), message)


def proxy_user(context: Context) -> Iterator[Finding]:
    """IST0144: an application with the proxy's user is taken for the proxy, and passes it by."""
    for placed in context.of(Workload):
        if is_control_plane(placed.labels):
            continue
        pod = placed.value.pod
        base: Path = ("spec",) if placed.value.kind == "Pod" else ("spec", "template", "spec")
        containers = [(n, c) for n, c in enumerate(pod.containers) if c.name not in _OWN_CONTAINERS]
        if pod.run_as_user == PROXY_USER or any(_as_proxy(container) for _, container in containers):
            paths = [(*base, "securityContext", "runAsUser")] if pod.run_as_user == PROXY_USER else []
            paths += [(*base, "containers", n, "securityContext", "runAsUser") for n, c in containers if _as_proxy(c)]
            message = f"user {PROXY_USER} is the proxy's: traffic of this user is not intercepted; run as another"
            for path in paths:
                yield found("IST0144", placed, path, message)


def _as_proxy(container: Container) -> bool:
    return container.run_as_user == PROXY_USER


CHECKS: Sequence[Check] = (port_names, shared_ports, proxy_user)

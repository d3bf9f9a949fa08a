"""Has the kubelet ask the proxy instead of the application, and tells the proxy what to ask (Istio's probe rewrite). Pure."""

from collections.abc import Mapping
from typing import Any, Final

from mesh_api import pod

KINDS: Final = {"readinessProbe": "readyz", "livenessProbe": "livez", "startupProbe": "startupz"}
"""Field of a container to the end of the path that stands for it."""
ASKED: Final = ("httpGet", "tcpSocket", "grpc")
"""Ways of asking that go over the network; a command runs in the container, and stays."""


class ProbeError(ValueError):
    """A probe that cannot be rewritten; the message names the container, the field and a mend."""


def rewritten(container: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The container with its probes at the proxy, and what the proxy has to ask, by path. Raises :class:`ProbeError`."""
    changed, asked = dict(container), {}
    for field, end in KINDS.items():
        probe = container.get(field)
        way = next((way for way in ASKED if isinstance(probe, Mapping) and probe.get(way)), None)
        if probe is None or way is None:
            continue
        path = f"{pod.PROBES}/{container.get('name', '')}/{end}"
        asked[path] = _asked(probe, way, container, field)
        others = {name: value for name, value in probe.items() if name not in ASKED}
        changed[field] = {**others, "httpGet": {"path": path, "port": pod.MERGED, "scheme": "HTTP"}}
    return changed, asked


def _asked(probe: Mapping[str, Any], way: str, container: Mapping[str, Any], field: str) -> dict[str, Any]:
    told = dict(probe[way])
    told["port"] = _port(told.get("port"), container, f"{field}.{way}.port")
    return {way: told, "timeoutSeconds": probe.get("timeoutSeconds") or 1}


def _port(value: Any, container: Mapping[str, Any], field: str) -> int:
    """A number, or the name of one of the container's ports."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536:
        return value
    if isinstance(value, str) and value.isdigit():
        return _port(int(value), container, field)
    for port in container.get("ports") or ():
        if port.get("name") == value and isinstance(port.get("containerPort"), int):
            return int(port["containerPort"])
    mend = "write its number, or name it in ports"
    raise ProbeError(f"container {container.get('name')}: {field}: {value!r} is no port of the container; {mend}")

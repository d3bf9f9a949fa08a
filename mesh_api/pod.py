"""What a pod's proxy is told by whoever put it into the pod: the injector writes it, the proxy reads it.

It stands as JSON in the variable :data:`VARIABLE` of the proxy's container. What only the running pod knows (its name, its
addresses, its node) are variables of their own, which Kubernetes fills in (:data:`FIELDS`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mesh_api.node import NodeKind

VARIABLE: Final = "MESHWRIGHT_POD"
FIELDS: Final = {
    "POD_NAME": "metadata.name",
    "POD_NAMESPACE": "metadata.namespace",
    "POD_IPS": "status.podIPs",
    "NODE_NAME": "spec.nodeName",
    "SERVICE_ACCOUNT": "spec.serviceAccountName",
}
"""Variable to the pod's field that it has (Kubernetes' downward API)."""
TOKENS: Final = "/var/run/secrets/tokens"
TOKEN_FILE: Final = f"{TOKENS}/istio-token"
"""Where the token of the pod's service account is, for the authority alone."""
ROOTS: Final = "/var/run/secrets/istio"
ROOTS_FILE: Final = f"{ROOTS}/root-cert.pem"
"""Where the roots are by which the pod knows the control plane."""
STATE: Final = "/var/lib/meshwright"
"""The proxy's own folder: its certificate, and the last good configuration."""
PROXY_USER: Final = 1337
"""Whose connections are not redirected (Istio's)."""
INBOUND, OUTBOUND, MERGED, READY, STATS, ADMIN = 15006, 15001, 15020, 15021, 15090, 15000
"""Ports of a pod's proxy, which are Istio's."""
LOOP_BREAKER: Final = "127.0.0.6"
"""From where a proxy calls its own application (Istio's)."""
ROOTS_CONFIG_MAP: Final = "istio-ca-root-cert"
"""ConfigMap with the roots, in every namespace (Istio's)."""
TOKEN_AUDIENCE: Final = "istio-ca"  # noqa: S105 - a name
"""For whom the pod's token is (Istio's)."""
PROBES: Final = "/app-health"
"""Below this path of the port :data:`MERGED` the proxy asks the application instead of the kubelet (Istio)."""


@dataclass(frozen=True, slots=True)
class PodProxy:
    """The settings. ``control`` is ``HOST:PORT`` of the control plane, which is called ``control_name`` in its certificate.

    ``workload`` is the name of what the pod is a copy of, ``owner`` its place in the API
    (``kubernetes://apis/apps/v1/namespaces/NS/deployments/NAME``). ``containers`` are the application's, ``ports`` theirs
    as Kubernetes has them. ``probes`` has the application's own probe by the path below which the kubelet asks for it.
    ``metadata`` is told to the control plane besides; ``settings`` is how the proxy is to be run (Istio's ProxyConfig),
    where the pod says so.
    """

    kind: NodeKind = NodeKind.SIDECAR
    control: str = "istiod.istio-system.svc:15012"
    control_name: str = "istiod.istio-system.svc"
    domain: str = "cluster.local"
    cluster: str = "Kubernetes"
    mesh: str = "cluster.local"
    workload: str = ""
    owner: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    containers: tuple[str, ...] = ()
    ports: tuple[Mapping[str, Any], ...] = ()
    probes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    concurrency: int = 1
    drain_seconds: float = 5.0
    log_level: str = "info"

    def to_json(self) -> str:
        """The variable's value; the same settings give the same text."""
        value: dict[str, Any] = {}
        for name in self.__slots__:
            given = getattr(self, name)
            if given != getattr(DEFAULT, name):
                value[name] = given.value if isinstance(given, NodeKind) else given
        return json.dumps(value, sort_keys=True, separators=(",", ":"), default=dict)

    @classmethod
    def from_json(cls, text: str) -> "PodProxy":
        """Reads the variable. Raises :class:`ValueError`, which names the field."""
        try:
            value = json.loads(text)
        except ValueError as error:
            raise ValueError(f"{VARIABLE}: is no JSON: {error}") from None
        if not isinstance(value, dict):
            raise ValueError(f"{VARIABLE}: is no mapping")
        made: dict[str, Any] = {}
        for name, given in value.items():
            if name not in cls.__slots__:
                raise ValueError(f"{VARIABLE}: {name}: there is no such setting")
            made[name] = _read(name, given, getattr(DEFAULT, name))
        return cls(**made)


def _read(name: str, given: Any, default: Any) -> Any:
    """One field, of the kind of its default."""
    if isinstance(default, NodeKind):
        try:
            return NodeKind(given)
        except ValueError:
            raise ValueError(f"{VARIABLE}: {name}: {given!r} is none of sidecar, router") from None
    if isinstance(default, tuple):
        wanted: tuple[type, ...] = (list,)
    elif isinstance(default, Mapping):
        wanted = (dict,)
    else:
        wanted = (int, float) if isinstance(default, float) else (type(default),)
    if not isinstance(given, wanted) or isinstance(given, bool):
        raise ValueError(f"{VARIABLE}: {name}: {given!r} is no {wanted[0].__name__}")
    return tuple(given) if isinstance(given, list) else given


DEFAULT: Final = PodProxy()

"""The mesh of a Kubernetes cluster as seen from outside: its gateway at the address of the Service, its pods by way of the
API server, which is in no mesh and asks them in plain text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mesh_cli.scenarios.client import Client, Reply

if TYPE_CHECKING:
    from mesh_control.sources.kubernetes.api import Api  # slow to import: `mesh observe --help` needs none of it

GATEWAY: Final = "/api/v1/namespaces/istio-system/services/istio-ingressgateway"
PODS: Final = "/api/v1/namespaces/default/pods"
BEHIND: Final = "book-store"
"""Label ``app`` of a workload that the gateway publishes."""
PUBLISHED: Final = 80
"""Port of the gateway's Service."""
NOT_FOUND: Final = 404
SIDECAR: Final = "istio-proxy"
STATISTICS: Final = 15090
UNREACHED: Final = "error trying to reach service: "
"""How the API server begins when a pod has not answered (``apimachinery/pkg/util/proxy/transport.go``)."""
Object = Mapping[str, Any]


class ClusterError(RuntimeError):
    """The cluster does not have what is to be asked; the message says what, and what mends it."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where to ask: the URL of the gateway, and by the API server's paths a workload behind it (empty: none is there) and the
    pages of sidecars, by pod."""

    gateway: str
    direct: str = ""
    statistics: Mapping[str, str] = field(default_factory=dict)


async def find(api: Api, gateway: str = "") -> Places:
    """Everything, but the gateway where its URL is known.

    Raises :class:`ClusterError`, and :class:`~mesh_control.sources.kubernetes.api.ApiError`.
    """
    from mesh_control.sources.kubernetes.api import ApiError

    if not gateway:
        try:
            service = await api.request("GET", GATEWAY)
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise
            raise ClusterError("there is no Service istio-ingressgateway; is the mesh in the cluster?") from None
        gateway = gateway_url(service, (await api.request("GET", "/api/v1/nodes"))["items"])
    return places(gateway, (await api.request("GET", PODS))["items"])


def places(gateway: str, pods: Sequence[Object]) -> Places:
    """Of the gateway's URL, and the pods of the workloads."""
    ready = [pod for pod in pods if _is_ready(pod)]
    behind = [_path(pod, _port(pod)) for pod in ready if _label(pod, "app") == BEHIND]
    pages = {
        pod["metadata"]["name"]: f"{_path(pod, STATISTICS)}/stats/prometheus" for pod in ready if SIDECAR in _names(pod)
    }
    return Places(gateway, (sorted(behind) or [""])[0], pages)


def gateway_url(service: Object, nodes: Sequence[Object]) -> str:
    """By its external address, else by its port on a node. Raises :class:`ClusterError` where it has neither."""
    port = next((each for each in service["spec"]["ports"] if each["port"] == PUBLISHED), None)
    if port is None:
        raise ClusterError(f"the Service istio-ingressgateway has no port {PUBLISHED}")
    for given in service.get("status", {}).get("loadBalancer", {}).get("ingress", ()):
        if address := given.get("ip") or given.get("hostname"):
            return f"http://{address}:{PUBLISHED}"
    for node in nodes:
        for each in node["status"].get("addresses", ()):
            if each["type"] == "InternalIP" and port.get("nodePort"):
                return f"http://{each['address']}:{port['nodePort']}"
    raise ClusterError("the Service istio-ingressgateway has no address yet; give it one, or name one by --gateway")


def _is_ready(pod: Object) -> bool:
    if "deletionTimestamp" in pod["metadata"]:
        return False
    return any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", ()))


def _label(pod: Object, name: str) -> str:
    return str(pod["metadata"].get("labels", {}).get(name, ""))


def _names(pod: Object) -> set[str]:
    """Of its containers; a sidecar may be one of those that begin first."""
    return {each["name"] for kind in ("containers", "initContainers") for each in pod["spec"].get(kind, ())}


def _port(pod: Object) -> int:
    """The first that its application names."""
    own = next(each for each in pod["spec"]["containers"] if each["name"] != SIDECAR)
    return int(own["ports"][0]["containerPort"])


def _path(pod: Object, port: int) -> str:
    return f"{PODS}/http:{pod['metadata']['name']}:{port}/proxy"


def _failed(status: int, message: str) -> Reply:
    """What the API server says of a pod. One that it did not come to has refused nothing: raises :class:`ClusterError`."""
    said, found, reason = message.partition(UNREACHED)
    if status == 0 or reason.startswith("dial "):
        raise ClusterError(f"no pod was asked in plain text: {message}")
    return Reply(0, 0.0, {}, reason) if found else Reply(status, 0.0, {}, said)


class ClusterClient(Client):
    """Asks the gateway of a cluster, and pods by its API server."""

    def __init__(self, api: Api, found: Places, host: str, proxy: str) -> None:
        super().__init__(found.gateway, host, found.direct, found.statistics, proxy=proxy)
        self._api = api

    async def past_gateway(self, path: str, headers: Mapping[str, str]) -> Reply:
        """One GET of the API server's own, in plain text, of a workload's pod; without fields, since it takes tokens for its
        own. A pod that does not speak with it is a reply with status 0 and the reason as body; raises
        :class:`ClusterError` where it was not reached."""
        from mesh_control.sources.kubernetes.api import ApiError

        try:
            text = await self._api.request("GET", self.direct + path)
        except ApiError as error:
            return _failed(error.status, error.message)
        return Reply(200, 0.0, {}, str(text))

    async def counted(self) -> list[str]:
        """The pages of all sidecars, as text. Raises :class:`~mesh_control.sources.kubernetes.api.ApiError`."""
        return [str(await self._api.request("GET", path)) for path in self.statistics.values()]

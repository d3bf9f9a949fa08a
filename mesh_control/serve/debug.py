"""istiod's ``/debug`` pages, in the shapes that Kiali and ``istioctl`` read. They tell what the mesh is made of, so only
who shows the proxies' join token is answered: every user of a machine may dial its loopback. The Unix socket has them, too.
Keys and secrets are on none of them (:mod:`mesh_control.redaction`)."""

import hmac
import ipaddress
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from mesh_control.config_dump import config_dump, syncz_row
from mesh_control.control import Control
from mesh_control.redaction import redacted
from mesh_control.serve.answers import as_json
from mesh_control.services import Resolution, Service, Workload

Handler = Callable[[web.Request], Awaitable[web.Response]]
RESOLUTIONS = {
    Resolution.STATIC: 0,
    Resolution.DNS: 1,
    Resolution.NONE: 2,
    Resolution.LOGICAL_DNS: 3,
}
"""istiod's ``model.Resolution``: ClientSideLB, DNSLB, Passthrough, DNSRoundRobinLB."""
CLUSTER_ID = "Kubernetes"
"""istiod's name of the cluster where nothing else is said."""
NOT_FOR_YOU = (
    "show the token that proxies join with (Authorization: Bearer TOKEN), or ask at the control plane's Unix socket: "
    "curl --unix-socket SOCKET http://control/debug/list"
)


class DebugPages:
    """See the module's docstring. ``token`` is what proxies join with; ``None``: nobody has one. ``on_loopback``: whoever
    asks from there is answered without."""

    def __init__(self, control: Control, token: str | None = None, *, on_loopback: bool = False) -> None:
        self._control = control
        self._token = token
        self._on_loopback = on_loopback
        self._pages: dict[str, tuple[str, Handler]] = {
            "/debug/syncz": ("Synchronization status of all proxies connected to this control plane", self._syncz),
            "/debug/registryz": ("The services that are known", self._registryz),
            "/debug/configz": ("The policies in force", self._configz),
            "/debug/endpointz": ("Obsolete, use endpointShardz", self._endpoint_shards),
            "/debug/endpointShardz": ("The endpoints of each service", self._endpoint_shards),
            "/debug/adsz": ("The connected proxies and what they ask for", self._adsz),
            "/debug/clusterz": ("The clusters that endpoints come from", self._clusterz),
            "/debug/config_dump": (
                "What a proxy has taken, as Envoy's admin shows it (proxyID=NAME.NAMESPACE)",
                self._dump,
            ),
            "/debug/list": ("These pages", self._list),
        }

    def routes(self, *, guarded: bool = True) -> list[web.RouteDef]:
        """For a table of pages. Where they are not ``guarded``, whoever gets there has proven enough."""
        return [
            web.get(path, self._guarded(handler) if guarded else handler) for path, (_, handler) in self._pages.items()
        ]

    def _guarded(self, handler: Handler) -> Handler:
        async def answer(request: web.Request) -> web.Response:
            return await handler(request) if self._allowed(request) else as_json({"problems": [NOT_FOR_YOU]}, 401)

        return answer

    def _allowed(self, request: web.Request) -> bool:
        shown = request.headers.get("authorization", "")
        if self._token is not None and hmac.compare_digest(shown.encode(), f"Bearer {self._token}".encode()):
            return True
        try:
            return self._on_loopback and ipaddress.ip_address(request.remote or "").is_loopback
        except ValueError:
            return False

    async def _list(self, _request: web.Request) -> web.Response:
        return as_json([{"name": path, "help": text} for path, (text, _) in sorted(self._pages.items())])

    async def _syncz(self, request: web.Request) -> web.Response:
        namespace = request.query.get("namespace", "")
        return as_json(
            [
                syncz_row(name, state.session.status(), state.node)
                for name, state in self._control.hub.current().items()
                if state.node is not None and (not namespace or name.endswith(f".{namespace}"))
            ]
        )

    async def _adsz(self, _request: web.Request) -> web.Response:
        clients = [
            {
                "connectionId": f"{state.node.id}-{key}",
                "address": self._control.address_of(key),
                "labels": state.node.metadata.get("LABELS", {}),
                "metadata": dict(state.node.metadata),
                "locality": {"region": state.node.region, "zone": state.node.zone, "subZone": state.node.sub_zone},
                "watches": {
                    url: list(state.session.names(url))
                    for url, known in state.session.status().items()
                    if known.subscribed
                },
            }
            for key, state in self._control.hub.streams().items()
            if state.node is not None
        ]
        return as_json({"totalClients": len(clients), "clients": redacted(clients)})

    async def _registryz(self, _request: web.Request) -> web.Response:
        state = self._control.state
        registered = state.registrations.status() if state.registrations is not None else []
        known = {(shown["namespace"], shown["name"]): shown for shown in registered}
        members = state.world.members
        return as_json([_service(service, members[service.hostname], known) for service in state.world.services])

    async def _configz(self, _request: web.Request) -> web.Response:
        return as_json(redacted([policy.to_document() for policy in self._control.state.world.policies]))

    async def _endpoint_shards(self, _request: web.Request) -> web.Response:
        world = self._control.state.world
        found: dict[str, dict[str, Any]] = {}
        for service in world.services:
            hosts = [_endpoint(w, service) for w in world.members[service.hostname]]
            accounts = sorted({host["ServiceAccount"] for host in hosts})
            shards = {"Shards": {f"{CLUSTER_ID}/{CLUSTER_ID}": hosts}, "ServiceAccounts": accounts}
            found.setdefault(service.hostname, {})[service.namespace] = shards
        return as_json(found)

    async def _clusterz(self, _request: web.Request) -> web.Response:
        synced = "synced" if not self._control.state.unsynced else "syncing"
        return as_json([{"id": CLUSTER_ID, "secretName": "", "syncStatus": synced}])

    async def _dump(self, request: web.Request) -> web.Response:
        found = dump_of(self._control, request.query.get("proxyID", ""))
        return as_json({"problems": ["no such proxy is connected"]}, 404) if found is None else as_json(found)


def dump_of(control: Control, name: str) -> dict[str, Any] | None:
    """The configuration of a connected proxy, ``NAME.NAMESPACE``; ``None``: there is none of that name."""
    state = control.hub.current().get(name)
    if state is None:
        return None
    status = state.session.status()
    return config_dump({url: state.session.accepted(url) for url in status}, status)


def _service(service: Service, members: Any, known: dict[tuple[str, str], Any]) -> dict[str, Any]:
    """istiod's ``model.Service``, with our own ``workloads`` and ``registered`` beside it."""
    return {
        "Attributes": {
            "ServiceRegistry": "External" if service.external else "Kubernetes",
            "Name": service.name or service.hostname,
            "Namespace": service.namespace,
            "LabelSelectors": dict(service.selector),
            "ExportTo": {namespace: {} for namespace in service.export_to},
        },
        "hostname": service.hostname,
        "namespace": service.namespace,
        "ports": [{"name": p.name, "port": p.number, "protocol": p.protocol.value} for p in service.ports],
        "clusterVIPs": {"Addresses": {CLUSTER_ID: list(service.addresses)}},
        "defaultAddress": next(iter(service.addresses), "0.0.0.0"),  # noqa: S104 (istiod's text for none)
        **{f"autoAllocatedIPv{6 if ':' in found else 4}Address": found for found in service.allocated},
        "Resolution": RESOLUTIONS[service.resolution],
        "MeshExternal": service.external,
        "workloads": [w.name or w.address for w in members],
        "registered": [known[w.namespace, w.name] for w in members if (w.namespace, w.name) in known],
    }


def _endpoint(workload: Workload, service: Service) -> dict[str, Any]:
    """istiod's ``model.IstioEndpoint``; a row has all ports of the service that the workload serves."""
    ports = {port.name: workload.port(port) for port in service.ports if workload.port(port)}
    return {
        "Labels": dict(workload.labels),
        "Addresses": [workload.address],
        "ServicePortName": next(iter(ports), ""),
        "EndpointPort": next(iter(ports.values()), 0),
        "Ports": ports,
        "ServiceAccount": workload.account,
        "Network": "",
        "Locality": {"Label": workload.locality, "ClusterID": CLUSTER_ID},
        "LbWeight": workload.weight,
        "TLSMode": "istio" if workload.mutual_tls else "disabled",
        "Namespace": workload.namespace,
        "WorkloadName": workload.name,
        "HealthStatus": list(type(workload.health)).index(workload.health),
        "NodeName": workload.node,
    }

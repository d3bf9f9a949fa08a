"""HTTP of the control plane: read-only pages for everyone, and the API for whoever may open its Unix socket."""

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from mesh_control import reports
from mesh_control.ca.wiring import Office
from mesh_control.control import Control
from mesh_control.policy_sets import Refused
from mesh_control.rollouts.runner import Releases
from mesh_control.serve.answers import as_json, as_text
from mesh_control.serve.certificates import CertificateApi
from mesh_control.serve.debug import DebugPages, dump_of
from mesh_control.serve.rollouts import RolloutApi
from mesh_policy import dump

MAX_BODY = 16 * 1024 * 1024
NAME = r"{owner:[a-z0-9][a-z0-9-]{0,62}}"


NO_SETS = (
    "a set of policies would be in force at this replica alone, and gone with it; write them as objects of the cluster "
    "(kubectl apply), and releases with mesh canary"
)


@dataclass(frozen=True, slots=True)
class Replica:
    """Which of several replicas this is, and whether it is the one that leads."""

    name: str
    leads: Callable[[], bool]


class Pages:
    """What anyone may read, and the ``debug`` pages for who proves enough."""

    def __init__(self, control: Control, version: str, debug: DebugPages, office: Office | None = None) -> None:
        self._control = control
        self._office = office
        self._version = version
        self._debug = debug

    def application(self) -> web.Application:
        """The pages on the monitoring port, under istiod's paths."""
        application = web.Application()
        application.add_routes(
            [
                web.get("/ready", self._ready),
                web.get("/healthz", self._alive),
                web.get("/version", self._show_version),
                web.get("/metrics", self._metrics),
                *self._debug.routes(),
            ]
        )
        return application

    async def _ready(self, _request: web.Request) -> web.Response:
        if waiting := self._control.state.unsynced:
            return as_text(f"waiting for {', '.join(waiting)}", 503)
        return as_text("ok")

    async def _alive(self, _request: web.Request) -> web.Response:
        return as_text("ok")

    async def _show_version(self, _request: web.Request) -> web.Response:
        return as_json({"version": self._version, "component": "meshwright"})

    async def _metrics(self, _request: web.Request) -> web.Response:
        if self._office is not None:
            self._office.measure()
        return web.Response(text=reports.exposition(self._control, self._version), content_type="text/plain")


class Api:
    """What changes the mesh; served on the Unix socket only. One of several replicas takes no sets: see :data:`NO_SETS`."""

    def __init__(
        self, control: Control, rollouts: Releases, office: Office | None = None, replica: Replica | None = None
    ) -> None:
        self._control = control
        self._replica = replica
        self._rollouts = RolloutApi(rollouts)
        self._office = office
        self._certificates = CertificateApi(office)
        self._debug = DebugPages(control)

    def application(self) -> web.Application:
        """The API."""
        application = web.Application(client_max_size=MAX_BODY)
        application.add_routes(
            [
                web.get("/status", self._status),
                web.get("/wait", self._wait),
                web.get("/world", self._world),
                web.get("/proxies/{name}/config", self._proxy_config),
                web.get(f"/policies/{NAME}", self._get),
                web.put(f"/policies/{NAME}", self._put),
                web.delete(f"/policies/{NAME}", self._delete),
                web.route("*", "/policies/{owner:.*}", self._no_owner),
                *self._rollouts.routes(),
                *self._certificates.routes(),
                *self._debug.routes(guarded=False),
            ]
        )
        return application

    async def _status(self, _request: web.Request) -> web.Response:
        authority = {} if self._office is None else {"authority": self._office.status()}
        of = self._replica
        replica = {} if of is None else {"replica": {"name": of.name, "leads": of.leads()}}
        return as_json(reports.status(self._control) | authority | replica)

    async def _wait(self, request: web.Request) -> web.Response:
        waiting = await self._control.wait(_seconds(request))
        return as_json({"version": self._control.hub.version, "waiting": waiting}, 504 if waiting else 200)

    async def _proxy_config(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        found = dump_of(self._control, name)
        return as_json({"problems": [f"no proxy {name} is connected"]}, 404) if found is None else as_json(found)

    async def _world(self, _request: web.Request) -> web.Response:
        return as_json(reports.everything(self._control))

    async def _get(self, request: web.Request) -> web.Response:
        policies = self._control.state.directory.of_owner(request.match_info["owner"])
        return web.Response(text=dump(policies), content_type="application/yaml")

    async def _put(self, request: web.Request) -> web.Response:
        try:
            text = (await request.read()).decode()
        except UnicodeDecodeError as error:
            return as_json({"problems": [f"the set is not UTF-8 (byte {error.start})"]}, 422)
        return await self._apply(request, text)

    async def _no_owner(self, request: web.Request) -> web.Response:
        owner = request.match_info["owner"]
        message = f"{owner!r} cannot be an owner: lower case letters, digits and dashes, at most 63, no dash first"
        return as_json({"problems": [message]}, 404)

    async def _delete(self, request: web.Request) -> web.Response:
        return await self._apply(request, "")

    async def _apply(self, request: web.Request, text: str) -> web.Response:
        if self._replica is not None:
            return as_json({"problems": [NO_SETS]}, 409)
        try:
            applied = await self._control.apply(request.match_info["owner"], text, _seconds(request))
        except Refused as refused:
            return as_json({"problems": refused.lines}, refused.status)
        return as_json(applied.to_json())


def _seconds(request: web.Request) -> float:
    try:
        seconds = float(request.query.get("wait", "0"))
    except ValueError:
        raise web.HTTPBadRequest(text="wait must be a number of seconds\n") from None
    return max(0.0, min(seconds, 3600.0))

"""HTTP of the certificate authority and its join tokens, a part of the API on the Unix socket."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mesh_control.ca.authority import AuthorityError
from mesh_control.ca.store import StoreError
from mesh_control.ca.tokens import TokenError
from mesh_control.ca.wiring import Office
from mesh_control.serve.answers import as_json
from mesh_policy import json_text

Handler = Callable[[Office, web.Request], Awaitable[web.Response]]
NONE = "this control plane has no certificate authority; write a section ca into its settings"


class TokenOrder(BaseModel):
    """A join token that is wanted."""

    model_config = ConfigDict(extra="forbid")

    identity: Annotated[str, Field(max_length=2048)]
    seconds: float
    uses: int = 1
    note: str = ""


class CertificateApi:
    """Look at the authority, rotate it, distrust a root; make, list and revoke join tokens."""

    def __init__(self, office: Office | None) -> None:
        self._office = office

    def routes(self) -> list[web.RouteDef]:
        """For the API's table."""
        return [
            web.get("/ca", self._answered(_status)),
            web.get("/ca/bundle", self._answered(_bundle)),
            web.get("/ca/certificates", self._answered(_certificates)),
            web.post("/ca/rotate", self._answered(_rotate)),
            web.post("/ca/distrust/{root}", self._answered(_distrust)),
            web.get("/tokens", self._answered(_tokens)),
            web.post("/tokens", self._answered(_create)),
            web.delete("/tokens/{id}", self._answered(_revoke)),
        ]

    def _answered(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            if self._office is None:
                return as_json({"problems": [NONE]}, 404)
            try:
                return await handler(self._office, request)
            except AuthorityError as error:
                return as_json({"problems": [str(error)]}, 409)
            except TokenError as error:
                return as_json({"problems": [str(error)]}, 422)
            except StoreError as error:
                return as_json({"problems": [str(error)]}, 507)

        return answer


async def _status(office: Office, _request: web.Request) -> web.Response:
    return as_json(office.status())


async def _bundle(office: Office, _request: web.Request) -> web.Response:
    return web.Response(text=office.authority.bundle(), content_type="application/x-pem-file")


async def _certificates(office: Office, _request: web.Request) -> web.Response:
    return as_json(office.certificates())


async def _rotate(office: Office, _request: web.Request) -> web.Response:
    return as_json(await office.rotate())


async def _distrust(office: Office, request: web.Request) -> web.Response:
    confirmed = request.query.get("confirmed") == "1"
    return as_json(await office.distrust(request.match_info["root"], confirmed=confirmed))


async def _tokens(office: Office, _request: web.Request) -> web.Response:
    return as_json(office.tokens())


async def _create(office: Office, request: web.Request) -> web.Response:
    try:
        order = TokenOrder.model_validate(json_text.parse(await request.text()))
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        return as_json({"problems": lines}, 422)
    except ValueError:
        return as_json({"problems": ["the order is no JSON"]}, 422)
    return as_json(await office.create_token(order.identity, order.seconds, order.uses, order.note))


async def _revoke(office: Office, request: web.Request) -> web.Response:
    name = request.match_info["id"]
    count = await office.revoke_token(name, renewals=request.query.get("renewals") == "1")
    if count is None:
        return as_json({"problems": [f"there is no join token {name}"]}, 404)
    return as_json({"id": name, "certificates": count})

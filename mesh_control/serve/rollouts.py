"""HTTP of the releases, a part of the API on the Unix socket."""

from collections.abc import Awaitable, Callable

from aiohttp import web
from pydantic import ValidationError

from mesh_control.rollouts.runner import Releases, RolloutError
from mesh_control.serve.answers import as_json
from mesh_policy import json_text
from mesh_policy.releases.machine import Order, Rollout, problems

Handler = Callable[[web.Request], Awaitable[web.Response]]


class RolloutApi:
    """Begin a release, look at it, give it orders, forget it."""

    def __init__(self, rollouts: Releases) -> None:
        self._rollouts = rollouts

    def routes(self) -> list[web.RouteDef]:
        """For the API's table."""
        return [
            web.get("/rollouts", self._all),
            web.post("/rollouts", self._answered(self._start)),
            web.get("/rollouts/{name}", self._answered(self._get)),
            web.post("/rollouts/{name}/{order}", self._answered(self._order)),
            web.delete("/rollouts/{name}", self._answered(self._remove)),
        ]

    def _answered(self, handler: Handler) -> Handler:
        async def answer(request: web.Request) -> web.Response:
            try:
                return await handler(request)
            except RolloutError as error:
                return as_json({"problems": str(error).splitlines()}, error.status)

        return answer

    async def _all(self, _request: web.Request) -> web.Response:
        return as_json(self._rollouts.all())

    async def _get(self, request: web.Request) -> web.Response:
        return as_json(self._rollouts.status(request.match_info["name"]))

    async def _start(self, request: web.Request) -> web.Response:
        try:
            rollout = Rollout.model_validate(json_text.parse(await request.text()))
        except ValidationError as error:
            return as_json({"problems": problems(error)}, 422)
        except ValueError as error:
            return as_json({"problems": [f"the release is no JSON: {error}"]}, 422)
        await self._rollouts.start(rollout)
        return as_json(self._rollouts.status(rollout.name))

    async def _order(self, request: web.Request) -> web.Response:
        name, word = request.match_info["name"], request.match_info["order"]
        orders = {order.value: order for order in Order if order is not Order.START}
        if word not in orders:
            return as_json({"problems": [f"{word!r} is no order; allowed are {', '.join(orders)}"]}, 404)
        await self._rollouts.order(name, orders[word], request.query.get("reason", ""))
        return as_json(self._rollouts.status(name))

    async def _remove(self, request: web.Request) -> web.Response:
        await self._rollouts.remove(request.match_info["name"])
        return as_json({})

"""The store: what users see. It keeps the users, and asks the other services for everything else."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from aiohttp import web

from meshwright_demo.db import Database
from meshwright_demo.downstream import Downstream
from meshwright_demo.http import Body, NotFoundError, path_uid
from meshwright_demo.model import Size


class Store:
    """Sells, shows, takes back."""

    def __init__(self, database: Database, order: Downstream, warehouse: Downstream, warranty: Downstream) -> None:
        self._database = database
        self._order = order
        self._warehouse = warehouse
        self._warranty = warranty

    def routes(self) -> list[web.RouteDef]:
        """The endpoints."""
        return [
            web.get("/api/v1/store/{userUid}/orders", self.orders),
            web.get("/api/v1/store/{userUid}/{orderUid}", self.one),
            web.post("/api/v1/store/{userUid}/purchase", self.purchase),
            web.delete("/api/v1/store/{userUid}/{orderUid}/refund", self.refund),
            web.post("/api/v1/store/{userUid}/{orderUid}/warranty", self.claim),
        ]

    async def orders(self, request: web.Request) -> web.Response:
        """A list of UserOrderResponse: one call for the orders, then two calls for each of them."""
        user = await self._user(request)
        found = await self._order.call(request, "GET", f"/api/v1/orders/{user}")
        return web.json_response([await self._described(request, order) for order in found])

    async def one(self, request: web.Request) -> web.Response:
        """UserOrderResponse."""
        return web.json_response(await self._described(request, await self._order_of_user(request)))

    async def purchase(self, request: web.Request) -> web.Response:
        """PurchaseRequest -> 201 with the order's address."""
        user, body = await self._user(request), await Body.of(request)
        wanted = {"model": body.text("model"), "size": body.choice("size", Size)}
        made = await self._order.call(request, "POST", f"/api/v1/orders/{user}", wanted)
        return web.Response(status=201, headers={"Location": f"/api/v1/store/{user}/{made['orderUid']}"})

    async def refund(self, request: web.Request) -> web.Response:
        """Take an order back."""
        order = await self._order_of_user(request)
        await self._order.call(request, "DELETE", f"/api/v1/orders/{order['orderUid']}")
        return web.Response(status=204)

    async def claim(self, request: web.Request) -> web.Response:
        """WarrantyRequest -> WarrantyResponse."""
        body = await Body.of(request)
        reason = {"reason": body.text("reason")}
        uid = (await self._order_of_user(request))["orderUid"]
        decided = await self._order.call(request, "POST", f"/api/v1/orders/{uid}/warranty", reason)
        return web.json_response(
            {"orderUid": uid, "warrantyDate": decided["warrantyDate"], "decision": decided["decision"]}
        )

    async def _user(self, request: web.Request) -> UUID:
        user = path_uid(request, "userUid")
        async with self._database.transaction() as connection:
            cursor = await connection.execute("SELECT 1 FROM users WHERE user_uid = %s", (user,))
            if await cursor.fetchone() is None:
                raise NotFoundError(f"there is no user {user}")
        return user

    async def _order_of_user(self, request: web.Request) -> Mapping[str, Any]:
        """The order in the path, which must be that user's: nobody may send back what another bought."""
        order, user = path_uid(request, "orderUid"), await self._user(request)
        found: Mapping[str, Any] = await self._order.call(request, "GET", f"/api/v1/orders/{user}/{order}")
        return found

    async def _described(self, request: web.Request, order: Mapping[str, Any]) -> dict[str, Any]:
        item = order["itemUid"]
        about, warranty = await asyncio.gather(
            _known(self._warehouse, request, f"/api/v1/warehouse/{item}"),
            _known(self._warranty, request, f"/api/v1/warranty/{item}"),
        )
        described = {
            "orderUid": order["orderUid"],
            "date": order["orderDate"],
            "model": about.get("model"),
            "size": about.get("size"),
            "warrantyDate": warranty.get("warrantyDate"),
            "warrantyStatus": warranty.get("status"),
        }
        return {name: value for name, value in described.items() if value is not None}


async def _known(service: Downstream, request: web.Request, path: str) -> Mapping[str, Any]:
    """What a service knows about an item; nothing if it does not know it, for those fields are optional."""
    try:
        found: Mapping[str, Any] = await service.call(request, "GET", path)
    except NotFoundError:
        return {}
    return found

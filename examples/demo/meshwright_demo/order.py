"""The order service: an order is an item taken from the warehouse with a warranty on it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from aiohttp import web
from psycopg.rows import DictRow

from meshwright_demo import log
from meshwright_demo.db import Database
from meshwright_demo.downstream import Downstream
from meshwright_demo.http import Body, NotFoundError, ServiceError, path_uid
from meshwright_demo.model import Size, utc

logger = logging.getLogger("order")
COLUMNS = "order_uid, order_date, item_uid, status"


class Order:
    """Keeps orders."""

    def __init__(
        self,
        database: Database,
        warehouse: Downstream,
        warranty: Downstream,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._warehouse = warehouse
        self._warranty = warranty
        self._now = now

    def routes(self) -> list[web.RouteDef]:
        """The endpoints."""
        return [
            web.post("/api/v1/orders/{userUid}", self.create),
            web.get("/api/v1/orders/{userUid}", self.of_user),
            web.get("/api/v1/orders/{userUid}/{orderUid}", self.one),
            web.post("/api/v1/orders/{orderUid}/warranty", self.claim),
            web.delete("/api/v1/orders/{orderUid}", self.cancel),
        ]

    async def create(self, request: web.Request) -> web.Response:
        """CreateOrderRequest -> the order's UUID."""
        user, body = path_uid(request, "userUid"), await Body.of(request)
        model, size = body.text("model"), body.choice("size", Size)
        order = uuid4()
        wanted = {"orderUid": str(order), "model": model, "size": size}
        taken = await self._warehouse.call(request, "POST", "/api/v1/warehouse", wanted)
        item = UUID(taken["orderItemUid"])
        try:
            await self._warranty.call(request, "POST", f"/api/v1/warranty/{item}")
            async with self._database.transaction() as connection:
                await connection.execute(
                    "INSERT INTO orders (order_uid, user_uid, item_uid, order_date, status)"
                    " VALUES (%s, %s, %s, %s, 'PAID')",
                    (order, user, item, self._now()),
                )
        except Exception:
            await self._undo(request, item)
            raise
        return web.json_response({"orderUid": str(order)})

    async def _undo(self, cause: web.Request, item: UUID) -> None:
        """Give an item back that no order will have; if that fails too, the log is what remains."""
        try:
            await self._warehouse.call(cause, "DELETE", f"/api/v1/warehouse/{item}")
        except ServiceError as error:
            log.event(logger, "an item was taken for no order", level=logging.ERROR, item=item, why=str(error))

    async def of_user(self, request: web.Request) -> web.Response:
        """A list of OrderInfoResponse, the oldest first; empty for a user without orders."""
        async with self._database.transaction() as connection:
            cursor = await connection.execute(
                f"SELECT {COLUMNS} FROM orders WHERE user_uid = %s ORDER BY id",  # noqa: S608 - a constant
                (path_uid(request, "userUid"),),
            )
            rows = await cursor.fetchall()
        return web.json_response([_info(row) for row in rows])

    async def one(self, request: web.Request) -> web.Response:
        """OrderInfoResponse of one of the user's orders."""
        order = path_uid(request, "orderUid")
        return web.json_response(_info(await self._find(order, path_uid(request, "userUid"))))

    async def claim(self, request: web.Request) -> web.Response:
        """WarrantyRequest -> the decision."""
        order, body = path_uid(request, "orderUid"), await Body.of(request)
        reason = {"reason": body.text("reason")}
        item = (await self._find(order))["item_uid"]
        return web.json_response(
            await self._warehouse.call(request, "POST", f"/api/v1/warehouse/{item}/warranty", reason)
        )

    async def cancel(self, request: web.Request) -> web.Response:
        """Give the item back and end its warranty; each step may be repeated, so may the whole."""
        order = path_uid(request, "orderUid")
        item = (await self._find(order))["item_uid"]
        await self._warehouse.call(request, "DELETE", f"/api/v1/warehouse/{item}")
        await self._warranty.call(request, "DELETE", f"/api/v1/warranty/{item}")
        async with self._database.transaction() as connection:
            await connection.execute("UPDATE orders SET status = 'CANCELED' WHERE order_uid = %s", (order,))
        return web.Response(status=204)

    async def _find(self, order: UUID, user: UUID | None = None) -> DictRow:
        async with self._database.transaction() as connection:
            cursor = await connection.execute(
                f"SELECT {COLUMNS}, user_uid FROM orders WHERE order_uid = %s",  # noqa: S608 - a constant
                (order,),
            )
            row = await cursor.fetchone()
        if row is None or user not in (None, row["user_uid"]):
            raise NotFoundError(f"there is no order {order}" if user is None else f"the user has no order {order}")
        return row


def _info(row: DictRow) -> dict[str, Any]:
    return {
        "orderUid": str(row["order_uid"]),
        "orderDate": utc(row["order_date"]),
        "itemUid": str(row["item_uid"]),
        "status": row["status"],
    }

"""The warehouse: items in stock, and which of them went to which order."""

from __future__ import annotations

from uuid import UUID, uuid4

from aiohttp import web
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from meshwright_demo.db import Database
from meshwright_demo.downstream import Downstream
from meshwright_demo.http import Body, NotAvailableError, NotFoundError, path_uid
from meshwright_demo.model import Size


class Warehouse:
    """Takes items out of the stock and back into it."""

    def __init__(self, database: Database, warranty: Downstream) -> None:
        self._database = database
        self._warranty = warranty

    def routes(self) -> list[web.RouteDef]:
        """The endpoints."""
        return [
            web.post("/api/v1/warehouse", self.take),
            web.get("/api/v1/warehouse/{orderItemUid}", self.info),
            web.delete("/api/v1/warehouse/{orderItemUid}", self.give_back),
            web.post("/api/v1/warehouse/{orderItemUid}/warranty", self.claim),
        ]

    async def take(self, request: web.Request) -> web.Response:
        """OrderItemRequest -> OrderItemResponse; 404 for an item that it never had, 409 for one that is sold out."""
        body = await Body.of(request)
        order, model, size = body.uid("orderUid"), body.text("model"), body.choice("size", Size)
        item = uuid4()
        async with self._database.transaction() as connection:
            await _take(connection, model, size, order, item)
        return web.json_response({"orderItemUid": str(item), "orderUid": str(order), "model": model, "size": size})

    async def info(self, request: web.Request) -> web.Response:
        """ItemInfoResponse."""
        async with self._database.transaction() as connection:
            row = await _item(connection, path_uid(request, "orderItemUid"))
        return web.json_response({"model": row["model"], "size": row["size"]})

    async def give_back(self, request: web.Request) -> web.Response:
        """Put an item back into the stock, once: the call may be repeated."""
        uid = path_uid(request, "orderItemUid")
        async with self._database.transaction() as connection:
            await _item(connection, uid)
            await connection.execute(
                "WITH given_back AS (UPDATE order_item SET canceled = true WHERE order_item_uid = %s AND NOT canceled"
                " RETURNING item_id)"
                " UPDATE items SET available_count = available_count + 1 WHERE id IN (SELECT item_id FROM given_back)",
                (uid,),
            )
        return web.Response(status=204)

    async def claim(self, request: web.Request) -> web.Response:
        """WarrantyRequest -> the warranty service's decision, which depends on the stock."""
        uid, body = path_uid(request, "orderItemUid"), await Body.of(request)
        reason = body.text("reason")
        # No connection is held during the call of the other service.
        async with self._database.transaction() as connection:
            row = await _item(connection, uid)
        question = {"reason": reason, "availableCount": row["available_count"]}
        return web.json_response(
            await self._warranty.call(request, "POST", f"/api/v1/warranty/{uid}/warranty", question)
        )


async def _take(connection: AsyncConnection[DictRow], model: str, size: Size, order: UUID, item: UUID) -> None:
    # One statement decides and takes, so two buyers of the last item cannot both get it.
    cursor = await connection.execute(
        "UPDATE items SET available_count = available_count - 1"
        " WHERE model = %s AND size = %s AND available_count > 0 RETURNING id",
        (model, size),
    )
    taken = await cursor.fetchone()
    if taken is None:
        cursor = await connection.execute("SELECT 1 FROM items WHERE model = %s AND size = %s", (model, size))
        if await cursor.fetchone() is None:
            raise NotFoundError(f"there is no item {model!r} of size {size}")
        raise NotAvailableError(f"the item {model!r} of size {size} is not available")
    await connection.execute(
        "INSERT INTO order_item (order_item_uid, order_uid, item_id) VALUES (%s, %s, %s)", (item, order, taken["id"])
    )


async def _item(connection: AsyncConnection[DictRow], uid: UUID) -> DictRow:
    cursor = await connection.execute(
        "SELECT model, size, available_count FROM order_item JOIN items ON items.id = item_id WHERE order_item_uid = %s",
        (uid,),
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotFoundError(f"no order has the item {uid}")
    return row

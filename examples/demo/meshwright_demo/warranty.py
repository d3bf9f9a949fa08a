"""The warranty service: how long an item may be returned or repaired."""

from __future__ import annotations

import calendar
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from aiohttp import web
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from meshwright_demo.db import Database
from meshwright_demo.http import Body, NotFoundError, path_uid
from meshwright_demo.model import utc


class Status(StrEnum):
    """Where an item's warranty stands."""

    ON_WARRANTY = "ON_WARRANTY"
    USE_WARRANTY = "USE_WARRANTY"
    REMOVED_FROM_WARRANTY = "REMOVED_FROM_WARRANTY"


class Decision(StrEnum):
    """What a claim gets."""

    RETURN = "RETURN"
    FIXING = "FIXING"
    REFUSE = "REFUSE"


def a_month_before(moment: datetime) -> datetime:
    """The same day and time of the month before, or that month's last day where it is shorter."""
    year, month = (moment.year, moment.month - 1) if moment.month > 1 else (moment.year - 1, 12)
    return moment.replace(year=year, month=month, day=min(moment.day, calendar.monthrange(year, month)[1]))


def decide(status: Status, started: datetime, available_count: int, now: datetime) -> Decision:
    """A claim on a warranty younger than a month: a new item if there is one, else a repair. Anything else is refused."""
    if status is not Status.ON_WARRANTY or started <= a_month_before(now):
        return Decision.REFUSE
    return Decision.RETURN if available_count > 0 else Decision.FIXING


class Warranty:
    """Keeps one warranty per item."""

    def __init__(self, database: Database, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._database = database
        self._now = now

    def routes(self) -> list[web.RouteDef]:
        """The endpoints."""
        return [
            web.get("/api/v1/warranty/{itemUid}", self.info),
            web.post("/api/v1/warranty/{itemUid}", self.start),
            web.delete("/api/v1/warranty/{itemUid}", self.stop),
            web.post("/api/v1/warranty/{itemUid}/warranty", self.claim),
        ]

    async def info(self, request: web.Request) -> web.Response:
        """WarrantyInfoResponse."""
        item = path_uid(request, "itemUid")
        async with self._database.transaction() as connection:
            row = await _warranty(connection, item)
        return web.json_response(
            {"itemUid": str(item), "warrantyDate": utc(row["warranty_date"]), "status": row["status"]}
        )

    async def start(self, request: web.Request) -> web.Response:
        """Start it now. One that was started stays as it is, so that the call may be repeated."""
        item = path_uid(request, "itemUid")
        async with self._database.transaction() as connection:
            await connection.execute(
                "INSERT INTO warranty (item_uid, status, warranty_date) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
                (item, Status.ON_WARRANTY, self._now()),
            )
        return web.Response(status=204)

    async def stop(self, request: web.Request) -> web.Response:
        """End it; there may be none."""
        item = path_uid(request, "itemUid")
        async with self._database.transaction() as connection:
            await connection.execute(
                "UPDATE warranty SET status = %s WHERE item_uid = %s", (Status.REMOVED_FROM_WARRANTY, item)
            )
        return web.Response(status=204)

    async def claim(self, request: web.Request) -> web.Response:
        """ItemWarrantyRequest -> the decision, which ends the warranty one way or the other."""
        item, body = path_uid(request, "itemUid"), await Body.of(request)
        reason, available_count = body.text("reason"), body.count("availableCount")
        async with self._database.transaction() as connection:
            row = await _warranty(connection, item, lock=True)
            decision = decide(Status(row["status"]), row["warranty_date"], available_count, self._now())
            status = Status.REMOVED_FROM_WARRANTY if decision is Decision.REFUSE else Status.USE_WARRANTY
            await connection.execute(
                "UPDATE warranty SET status = %s, comment = %s WHERE item_uid = %s", (status, reason, item)
            )
        return web.json_response({"warrantyDate": utc(row["warranty_date"]), "decision": decision})


async def _warranty(connection: AsyncConnection[DictRow], item: UUID, *, lock: bool = False) -> DictRow:
    # Locked: of two claims on one item at once only one may be granted.
    query = "SELECT status, warranty_date FROM warranty WHERE item_uid = %s"
    cursor = await connection.execute(query + " FOR UPDATE" if lock else query, (item,))
    row = await cursor.fetchone()
    if row is None:
        raise NotFoundError(f"no warranty for the item {item}")
    return row

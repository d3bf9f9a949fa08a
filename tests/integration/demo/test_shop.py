"""The shop's contract, through four real processes and a real PostgreSQL."""

from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from tests.support.demo_programs import Shop

pytestmark = pytest.mark.integration

ALEX = "6d2cb5a0-943c-4b96-9aa6-89eac7bdfd2b"
LEGO = {"model": "Lego 42070", "size": "L"}
Stock = Callable[..., int]


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def ask(http: aiohttp.ClientSession, method: str, url: str, **options: Any) -> tuple[int, Any]:
    async with http.request(method, url, **options) as answer:
        return answer.status, await answer.json() if await answer.read() else None


async def purchase(http: aiohttp.ClientSession, shop: Shop) -> str:
    """Buy; the URL of the order."""
    async with http.post(f"{shop.programs['store'].url}/api/v1/store/{ALEX}/purchase", json=LEGO) as answer:
        assert answer.status == 201, await answer.text()
        return shop.programs["store"].url + answer.headers["Location"]


async def test_purchase_list_warranty_refund(shop: Shop, http: aiohttp.ClientSession, stock: Stock) -> None:
    orders = f"{shop.programs['store'].url}/api/v1/store/{ALEX}/orders"
    assert await ask(http, "GET", orders) == (200, [])
    place = await purchase(http, shop)
    assert stock("Lego 42070") == 9999

    status, order = await ask(http, "GET", place)
    assert status == 200
    assert order["orderUid"] == place.rsplit("/", 1)[1]
    assert {name: order[name] for name in ("model", "size", "warrantyStatus")} == {
        **LEGO, "warrantyStatus": "ON_WARRANTY"
    }  # fmt: skip
    assert order["date"].endswith("Z")
    assert order["warrantyDate"].endswith("Z")
    assert await ask(http, "GET", orders) == (200, [order])

    claim = await ask(http, "POST", f"{place}/warranty", json={"reason": "a brick is missing"})
    expected = {"orderUid": order["orderUid"], "warrantyDate": order["warrantyDate"], "decision": "RETURN"}
    assert claim == (200, expected)
    assert (await ask(http, "GET", place))[1]["warrantyStatus"] == "USE_WARRANTY"
    assert (await ask(http, "POST", f"{place}/warranty", json={"reason": "and another"}))[1]["decision"] == "REFUSE"

    assert await ask(http, "DELETE", f"{place}/refund") == (204, None)
    assert stock("Lego 42070") == 10000
    assert (await ask(http, "GET", place))[1]["warrantyStatus"] == "REMOVED_FROM_WARRANTY"
    canceled = f"{shop.programs['order'].url}/api/v1/orders/{ALEX}/{order['orderUid']}"
    assert (await ask(http, "GET", canceled))[1]["status"] == "CANCELED"
    # A refund that is repeated (by the mesh, by the user) puts nothing into the stock again.
    assert await ask(http, "DELETE", f"{place}/refund") == (204, None)
    assert stock("Lego 42070") == 10000

    assert [program.terminate() for program in shop.programs.values()] == [0, 0, 0, 0]


async def test_sold_out_is_409_and_a_claim_then_means_fixing(
    shop: Shop, http: aiohttp.ClientSession, stock: Stock
) -> None:
    place = await purchase(http, shop)
    stock("Lego 42070", 0)
    status, body = await ask(http, "POST", f"{shop.programs['store'].url}/api/v1/store/{ALEX}/purchase", json=LEGO)
    assert status == 409
    assert "not available" in body["message"]
    status, body = await ask(http, "POST", f"{place}/warranty", json={"reason": "broken"})
    assert (status, body["decision"]) == (200, "FIXING")


async def test_a_service_that_is_down_is_422(shop: Shop, http: aiohttp.ClientSession, stock: Stock) -> None:
    place = await purchase(http, shop)
    store = f"{shop.programs['store'].url}/api/v1/store/{ALEX}"

    # The item was taken when the warranty failed: it must be back.
    assert shop.programs["warranty"].terminate() == 0
    status, body = await ask(http, "POST", f"{store}/purchase", json=LEGO)
    assert (status, "warranty" in body["message"]) == (422, True)
    assert stock("Lego 42070") == 9999

    assert shop.programs["warehouse"].terminate() == 0
    for method, url, body in (
        ("POST", f"{store}/purchase", LEGO),
        ("GET", f"{store}/orders", None),
        ("GET", place, None),
        ("POST", f"{place}/warranty", {"reason": "broken"}),
        ("DELETE", f"{place}/refund", None),
    ):
        status, answer = await ask(http, method, url, json=body)
        assert (status, "warehouse" in answer["message"]) == (422, True), (method, url, answer)


async def test_wrong_requests(shop: Shop, http: aiohttp.ClientSession, server: Any) -> None:
    place = await purchase(http, shop)
    urls = {name: program.url for name, program in shop.programs.items()}
    someone, nothing = uuid4(), uuid4()
    store, order = f"{urls['store']}/api/v1/store", f"{urls['order']}/api/v1/orders"
    warehouse, warranty = f"{urls['warehouse']}/api/v1/warehouse", f"{urls['warranty']}/api/v1/warranty"
    reason = {"reason": "broken"}
    rows: tuple[tuple[str, str, Any, int, str], ...] = (
        ("POST", f"{store}/{ALEX}/purchase", {"model": "Lego 42070"}, 400, "size"),
        ("POST", f"{store}/{ALEX}/purchase", {**LEGO, "size": "XXL"}, 400, "S, M, L, XL"),
        ("POST", f"{store}/{ALEX}/purchase", [], 400, "object"),
        ("POST", f"{store}/{ALEX}/purchase", {**LEGO, "model": "\0"}, 400, "model"),
        ("POST", f"{store}/{ALEX}/purchase", {**LEGO, "model": "Lego 1"}, 404, "Lego 1"),
        ("POST", f"{store}/{someone}/purchase", LEGO, 404, str(someone)),
        ("GET", f"{store}/alex/orders", None, 400, "userUid"),
        ("GET", f"{store}/{someone}/orders", None, 404, str(someone)),
        ("GET", f"{store}/{ALEX}/{nothing}", None, 404, str(nothing)),
        ("POST", f"{place}/warranty", {}, 400, "reason"),
        ("DELETE", f"{store}/{ALEX}/{nothing}/refund", None, 404, str(nothing)),
        ("GET", f"{store}/{ALEX}", None, 404, "Not Found"),
        ("PUT", f"{store}/{ALEX}/orders", None, 405, "Method Not Allowed"),
        ("POST", f"{order}/{ALEX}", {"model": "", "size": "L"}, 400, "model"),
        ("GET", f"{order}/{someone}/{place.rsplit('/', 1)[1]}", None, 404, "no order"),
        ("POST", f"{order}/{nothing}/warranty", reason, 404, str(nothing)),
        ("DELETE", f"{order}/{nothing}", None, 404, str(nothing)),
        ("POST", warehouse, LEGO, 400, "orderUid"),
        ("GET", f"{warehouse}/{nothing}", None, 404, str(nothing)),
        ("DELETE", f"{warehouse}/{nothing}", None, 404, str(nothing)),
        ("POST", f"{warehouse}/{nothing}/warranty", reason, 404, str(nothing)),
        ("GET", f"{warranty}/{nothing}", None, 404, str(nothing)),
        ("POST", f"{warranty}/{nothing}/warranty", {**reason, "availableCount": -1}, 400, "availableCount"),
        ("POST", f"{warranty}/{nothing}/warranty", {**reason, "availableCount": 1}, 404, str(nothing)),
    )
    for method, url, body, status, text in rows:
        got, answer = await ask(http, method, url, json=body)
        assert (got, list(answer), text in answer["message"]) == (status, ["message"], True), (method, url, answer)
    status, answer = await ask(http, "POST", f"{store}/{ALEX}/purchase", data=b"{", headers={"X": "y"})
    assert (status, "not JSON" in answer["message"]) == (400, True)
    for program in shop.programs.values():
        assert program.terminate() == 0
        assert not [event for event in program.events if event.get("level") in ("error", "critical")]
        assert server.password not in str(program.events)


async def test_the_request_id_reaches_the_last_service(shop: Shop, http: aiohttp.ClientSession) -> None:
    place = await purchase(http, shop)
    headers = {"x-request-id": "from-the-user", "traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
    await ask(http, "POST", f"{place}/warranty", json={"reason": "broken"}, headers=headers)
    for name in ("store", "order", "warehouse", "warranty"):
        shop.programs[name].event("request", method="POST", request_id="from-the-user")


async def test_deleting_a_warranty_that_never_was_and_starting_one_twice(
    shop: Shop, http: aiohttp.ClientSession
) -> None:
    url = f"{shop.programs['warranty'].url}/api/v1/warranty/{uuid4()}"
    assert await ask(http, "DELETE", url) == (204, None)
    assert await ask(http, "POST", url) == (204, None)
    status, first = await ask(http, "GET", url)
    assert (status, first["status"]) == (200, "ON_WARRANTY")
    assert await ask(http, "POST", url) == (204, None)
    assert await ask(http, "GET", url) == (200, first)

"""A real Envoy and our own proxy, driven by our control plane: both take everything and send traffic where policies say."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from mesh_policy import CanaryRelease, CircuitBreaker, Exposed, Redirect, Route, Timeout, Traffic, dump
from mesh_policy.releases import Statement
from tests.integration.mesh_control.harness import LIMIT, control_plane
from tests.integration.mesh_control.programs import OURS, Program, running
from tests.support.ports import free_port

pytestmark = pytest.mark.integration

ORDER = "order.default.svc.cluster.local"
CANARY = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: order}
spec:
  host: order
  trafficPolicy:
    connectionPool: {tcp: {maxConnections: 100, connectTimeout: 1s}, http: {http1MaxPendingRequests: 100}}
    outlierDetection: {consecutive5xxErrors: 10, interval: 1s, baseEjectionTime: 30s, maxEjectionPercent: 100}
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: order}
spec:
  hosts: [order]
  http:
  - match: [{uri: {prefix: /api/v1}}]
    redirect: {uri: /api/v2, redirectCode: 301}
  - match: [{headers: {x-user: {exact: beta}}}]
    route: [{destination: {host: order, subset: v2}}]
    timeout: 15s
  - route:
    - {destination: {host: order, subset: v1}, weight: 50}
    - {destination: {host: order, subset: v2}, weight: 50}
"""
GATEWAY = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: shop}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: PORT, name: http, protocol: HTTP}, hosts: ["*.services.local"]}]
"""
BOUND = """
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec:
  hosts: [order.services.local]
  gateways: [shop]
  http: [{route: [{destination: {host: order}}]}]
"""
EVERYTHING = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside}
spec:
  hosts: [outside.example.com]
  resolution: DNS
  ports: [{number: 443, name: https, protocol: HTTPS}, {number: 80, name: http, protocol: HTTP}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: other}
spec:
  hosts: [other.example.com]
  resolution: NONE
  ports: [{number: 443, name: https, protocol: HTTPS}, {number: 80, name: http, protocol: HTTP}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: grpc}
spec:
  hosts: [grpc.default.svc.cluster.local]
  addresses: [10.96.0.30]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 50051, name: grpc, protocol: GRPC}, {number: 3306, name: mysql, protocol: TCP}]
  endpoints: [{address: 127.0.0.31, weight: 3}, {address: 127.0.0.32, locality: a/b/c}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: other}
spec:
  hosts: [api.example.com]
  http:
  - match: [{uri: {regex: "/v[0-9]+/.*"}, queryParams: {q: {exact: "1"}}, withoutHeaders: {x: {prefix: z}}}]
    rewrite: {uriRegexRewrite: {match: "^/v[0-9]+/(.*)$", rewrite: '/\\1'}, authority: order}
    route: [{destination: {host: order, port: {number: 8380}}}]
    retries: {attempts: 3, perTryTimeout: 2s, retryOn: "5xx,503"}
    fault: {delay: {fixedDelay: 1s, percentage: {value: 0.1}}, abort: {httpStatus: 503, percentage: {value: 1}}}
    corsPolicy: {allowOrigins: [{exact: "https://a.example"}], allowMethods: [GET], maxAge: 1h}
    headers: {request: {set: {x-a: b}, remove: [x-c]}, response: {add: {x-d: e}}}
    mirrors: [{destination: {host: order}, percentage: {value: 10}}]
  - directResponse: {status: 418, body: {string: teapot}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: postgres}
spec:
  hosts: [postgres]
  tcp:
  - match: [{port: 5432}]
    route: [{destination: {host: postgres}, weight: 1}, {destination: {host: order}, weight: 2}]
"""


def new_connections() -> aiohttp.ClientSession:
    """A client that opens a connection for each request."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))


@contextlib.asynccontextmanager
async def application(name: str) -> AsyncIterator[int]:
    """A workload that says its name and what it was asked, does not answer ``/slow``, and as ``v2`` fails ``/ping``."""

    over = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/slow":
            await over.wait()
        if request.path == "/ping" and name == "v2":
            return web.Response(status=500)
        return web.json_response(
            {
                "name": name,
                "path": request.path,
                "headers": {name.lower(): value for name, value in request.headers.items()},
            }
        )

    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        over.set()
        await runner.cleanup()


def inventory(v1: int, v2: int, store: int) -> dict[str, Any]:
    def workload(name: str, app: str, version: str, port: int) -> dict[str, Any]:
        return {
            "name": name,
            "address": "127.0.0.1",
            "labels": {"app": app, "version": version},
            "ports": {"http": port},
            "sidecar": False,
        }

    return {
        "services": [
            {"name": "order", "ports": [{"name": "http", "port": 8380}], "selector": {"app": "order"}},
            {"name": "store", "ports": [{"name": "http", "port": 8480}], "selector": {"app": "store"}},
            {"name": "postgres", "ports": [{"name": "tcp-pg", "port": 5432}], "selector": {"app": "postgres"}},
        ],
        "workloads": [
            workload("order-v1", "order", "v1", v1),
            workload("order-v2", "order", "v2", v2),
            workload("store", "store", "v1", store),
        ],
    }


async def get(session: aiohttp.ClientSession, port: int, path: str = "/", **headers: str) -> tuple[int, Any, Any]:
    url = f"http://127.0.0.1:{port}{path}"
    async with session.get(url, headers=headers, allow_redirects=False) as answer:
        body = await answer.json() if answer.content_type == "application/json" else await answer.text()
        return answer.status, body, answer.headers


async def test_a_sidecar_without_interception_routes_by_policy(tmp_path: Path, program: Program) -> None:
    egress, ingress = free_port(), free_port()
    node = "sidecar~127.0.0.1~store.default~default.svc.cluster.local"
    async with contextlib.AsyncExitStack() as stack:
        v1, v2 = await stack.enter_async_context(application("v1")), await stack.enter_async_context(application("v2"))
        store = await stack.enter_async_context(application("store"))
        hosts = inventory(v1, v2, ingress)
        plane = stack.enter_context(control_plane(tmp_path, inventory=hosts))
        metadata = {
            "INTERCEPTION_MODE": "NONE",
            "EGRESS_PORTS": {f"{ORDER}:8380": egress},
            "INGRESS_PORTS": {str(ingress): store},
        }
        await stack.enter_async_context(running(program, plane, node, metadata))
        session = await stack.enter_async_context(new_connections())

        status, body, headers = await get(session, ingress)
        assert (status, body["name"], headers["server"]) == (200, "store", "istio-envoy")

        applied = await plane.client.apply("demo", CANARY, LIMIT)
        assert applied["proxies"] == {"store.default": {"state": "acknowledged"}}
        seen = Counter([(await get(session, egress))[1]["name"] for _ in range(60)])
        assert set(seen) == {"v1", "v2"}
        assert [(await get(session, egress, **{"x-user": "beta"}))[1]["name"] for _ in range(10)] == ["v2"] * 10
        status, _, headers = await get(session, egress, "/api/v1/books")
        assert (status, headers["location"]) == (301, f"http://127.0.0.1:{egress}/api/v2")

        only_v1 = CANARY.replace("weight: 50", "weight: 100", 1).replace("weight: 50", "weight: 0")
        await plane.client.apply("demo", only_v1, LIMIT)
        assert [(await get(session, egress))[1]["name"] for _ in range(20)] == ["v1"] * 20

        plane.kill()
        assert (await get(session, egress))[0] == 200  # traffic needs no control plane


async def test_a_gateway_serves_what_is_bound_to_it(tmp_path: Path, program: Program) -> None:
    port = free_port()
    node = "router~127.0.0.1~gateway.istio-system~istio-system.svc.cluster.local"
    async with contextlib.AsyncExitStack() as stack:
        v1, v2 = await stack.enter_async_context(application("v1")), await stack.enter_async_context(application("v2"))
        plane = stack.enter_context(control_plane(tmp_path, inventory=inventory(v1, v2, free_port())))
        await plane.client.apply("demo", GATEWAY.replace("PORT", str(port)), LIMIT)
        await stack.enter_async_context(running(program, plane, node, {"LABELS": {"istio": "ingressgateway"}}))
        session = await stack.enter_async_context(new_connections())

        assert (await get(session, port, Host="order.services.local"))[0] == 404
        await plane.client.apply("demo", GATEWAY.replace("PORT", str(port)) + BOUND, LIMIT)
        status, body, headers = await get(session, port, Host="order.services.local")
        assert (status, headers["server"]) == (200, "istio-envoy")
        assert body["headers"]["x-forwarded-for"]  # what is not believed from outside is written anew
        assert (await get(session, port, Host="other.services.local"))[0] == 404


async def test_everything_is_taken_with_interception(tmp_path: Path, program: Program) -> None:
    node = "sidecar~127.0.0.1~order-v1.default~default.svc.cluster.local"
    capture = {"outbound": free_port(), "inbound": free_port()}
    with control_plane(tmp_path, inventory=inventory(free_port(), free_port(), free_port())) as plane:
        async with running(program, plane, node, {"CAPTURE_PORTS": capture}):
            for text in (CANARY, f"{CANARY}---{EVERYTHING}", CANARY):
                applied = await plane.client.apply("demo", text, LIMIT)
                assert applied["proxies"] == {"order-v1.default": {"state": "acknowledged"}}, applied


async def test_the_four_scenarios(tmp_path: Path, program: Program) -> None:
    """What the demo shows, with shorter times: timeout, redirect, canary, circuit breaker."""
    port = free_port()
    node = "router~127.0.0.1~gateway.default~default.svc.cluster.local"
    async with contextlib.AsyncExitStack() as stack:
        v1, v2 = await stack.enter_async_context(application("v1")), await stack.enter_async_context(application("v2"))
        plane = stack.enter_context(control_plane(tmp_path, inventory=inventory(v1, v2, free_port())))
        published = Exposed(service="order", hostname="books.local", port=port)

        async def scenario(*statements: Statement) -> None:
            await plane.client.apply("demo", dump(Traffic(published, *statements).expand()), LIMIT)

        await scenario()
        await stack.enter_async_context(running(program, plane, node, {"LABELS": {"istio": "ingressgateway"}}))
        session = await stack.enter_async_context(new_connections())

        async def ask(path: str, **headers: str) -> tuple[int, Any, Any]:
            return await get(session, port, path, Host="books.local", **headers)

        await scenario(
            Route(service="order", path="/", version="v1"), Timeout(service="order", path="/slow", after="300ms")
        )
        assert (await ask("/slow"))[:2] == (504, "upstream request timeout")
        assert (await ask("/quick"))[0] == 200

        moved = Redirect(service="order", path="/api/v1", to="/api/v2", headers={"x-api-version": "v2"})
        await scenario(Route(service="order", path="/", version="v1"), moved)
        status, _, headers = await ask("/api/v1", **{"x-api-version": "v2"})
        assert (status, headers["location"]) == (301, "http://books.local/api/v2")
        assert (await ask("/api/v1"))[0] == 200

        await scenario(CanaryRelease(service="order", stable="v1", candidate="v2", weight=50))
        assert set(Counter([(await ask("/ping"))[0] for _ in range(60)])) == {200, 500}

        breaker = CircuitBreaker(service="order", errors=10, ejection="1s", interval="100ms")
        await scenario(Route(service="order", path="/", version="v2"), breaker)
        assert [(await ask("/ping"))[0] for _ in range(10)] == [500] * 10
        async with asyncio.timeout(LIMIT):
            while (answer := await ask("/ping"))[0] == 500:
                # Envoy's main thread ejects, and its workers hear of it a moment after the tenth error; ours at once.
                assert program.name != OURS.name
        assert answer[:2] == (503, "no healthy upstream")
        async with asyncio.timeout(LIMIT):
            while (await ask("/quick"))[0] == 503:
                await asyncio.sleep(0.1)  # the host comes back when its time is over; nothing tells when


async def test_a_change_reaches_connections_that_are_open(tmp_path: Path, program: Program) -> None:
    port = free_port()
    node = "router~127.0.0.1~gateway.edge~edge.svc.cluster.local"
    with control_plane(tmp_path, inventory=inventory(free_port(), free_port(), free_port())) as plane:
        await plane.client.apply("demo", GATEWAY.replace("PORT", str(port)), LIMIT)
        async with (
            running(program, plane, node, {"LABELS": {"istio": "ingressgateway"}}),
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session,
        ):
            assert (await get(session, port, Host="order.services.local"))[0] == 404
            tea = BOUND.replace("{route: [{destination: {host: order}}]}", "{directResponse: {status: 418}}")
            await plane.client.apply("demo", GATEWAY.replace("PORT", str(port)) + tea, LIMIT)
            assert (await get(session, port, Host="order.services.local"))[0] == 418


async def test_a_port_that_is_taken_is_told_as_the_proxy_tells_it(tmp_path: Path, program: Program) -> None:
    """The proxy's own words reach whoever applies the policy, and the former set is back."""
    node = "router~127.0.0.1~gateway.istio-system~istio-system.svc.cluster.local"
    async with contextlib.AsyncExitStack() as stack:
        taken = await stack.enter_async_context(application("other"))
        plane = stack.enter_context(control_plane(tmp_path, inventory=inventory(1, 2, 3)))
        await stack.enter_async_context(running(program, plane, node, {"LABELS": {"istio": "ingressgateway"}}))
        with pytest.raises(
            Exception, match=f"gateway.istio-system refused LDS: .*0.0.0.0_{taken}.*Address already in use"
        ):
            await plane.client.apply("demo", GATEWAY.replace("PORT", str(taken)), LIMIT)
        assert await plane.client.get("demo") == ""

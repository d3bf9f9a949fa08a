"""HTTPS of the webhooks: a body of at most some megabytes in, a verdict or a pod with its proxy out, everything within a
time."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from aiohttp import web

from mesh_control.injection import manifest as injection
from mesh_control.injection.review import Outcome
from mesh_control.injection.review import answer as answer_with_pod
from mesh_control.metrics import Metrics
from mesh_control.webhook.manifest import PATH, known_resource
from mesh_control.webhook.review import Judge, Review, ReviewError, Verdict, answer, parse, verdict

log = logging.getLogger("mesh_control.webhook")

MAX_BODY = 6 * 1024 * 1024
"""Bytes: an object and its former self, of which an API server takes 3 MiB each (istiod's limit, too)."""
READ_SECONDS = 5.0
JUDGE_SECONDS = 8.0
"""Seconds for a body to come, and for a verdict: less than an API server waits, so that it is told why."""
AT_ONCE = 4
"""Verdicts that are found at the same time; others wait, as long as a verdict may take."""
HANDSHAKE_SECONDS = 10.0
Found = TypeVar("Found")


Injector = Callable[[Review], Outcome]
"""What becomes of a pod that is asked about."""


@dataclass(slots=True)
class Webhook:
    """Answers with what ``judge`` finds, and ``inject`` makes, which run in threads; ``None``: nobody may ask about that."""

    judge: Judge | None
    metrics: Metrics
    inject: Injector | None = None
    judge_seconds: float = JUDGE_SECONDS
    read_seconds: float = READ_SECONDS
    _places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    def application(self) -> web.Application:
        """The paths, which are istiod's."""
        application = web.Application(client_max_size=MAX_BODY, middlewares=[self._counted])
        rows: list[web.AbstractRouteDef] = [web.get("/ready", _ready)]
        for path, served, handler in (
            (PATH, self.judge is not None, self._validate),
            (injection.PATH, self.inject is not None, self._inject),
        ):
            rows += [web.post(path + rest, handler) for rest in ("", "/{rest:.*}") if served]
        application.add_routes(rows)
        return application

    @web.middleware
    async def _counted(self, request: web.Request, handler: "web.Handler") -> web.StreamResponse:  # type: ignore[name-defined]
        try:
            return await handler(request)  # type: ignore[no-any-return]
        except web.HTTPException as error:
            if request.path.startswith(PATH):
                self.metrics.count("galley_validation_http_error", status=str(error.status))
            raise

    async def _validate(self, request: web.Request) -> web.Response:
        review = await self._question(request)
        assert self.judge is not None  # noqa: S101 - else there is no such path
        found = await self._in_time(partial(verdict, review, self.judge))
        self._count(review, found)
        return web.json_response(answer(review, found))

    async def _inject(self, request: web.Request) -> web.Response:
        self.metrics.count("sidecar_injection_requests_total")
        review = await self._question(request)
        assert self.inject is not None  # noqa: S101 - else there is no such path
        found = await self._in_time(partial(self.inject, review))
        if found.problem:
            log.info("no proxy for %s: %s", review.subject, found.problem)
        ended = "failure" if found.problem else "skip" if found.pod is None else "success"
        self.metrics.count(f"sidecar_injection_{ended}_total")
        return web.json_response(answer_with_pod(review, found))

    async def _in_time(self, work: Callable[[], Found]) -> Found:
        try:
            async with asyncio.timeout(self.judge_seconds), self._places:
                return await asyncio.to_thread(work)
        except TimeoutError:
            raise web.HTTPServiceUnavailable(text="no verdict in time; try again\n") from None

    async def _question(self, request: web.Request) -> Review:
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(text="the content type must be application/json\n")
        try:
            async with asyncio.timeout(self.read_seconds):
                body = await request.read()
        except TimeoutError:
            raise web.HTTPRequestTimeout(text="the body did not come in time\n") from None
        try:
            return parse(body)
        except ReviewError as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from None

    def _count(self, review: Review, found: Verdict) -> None:
        """As istiod counts: a dry run only where it is good."""
        if found.problems:
            # Never the messages: they may quote what stands in the object.
            fields = ", ".join(found.fields) or found.reason
            log.info("refused %s%s: %s", review.subject, " (dry run)" if review.dry_run else "", fields)
            if not review.dry_run:
                self._counted_as("galley_validation_failed", review, reason=found.reason)
            return
        self._counted_as("galley_validation_passed", review)

    def _counted_as(self, name: str, review: Review, **more: str) -> None:
        group, version, resource = known_resource(*review.resource)
        self.metrics.count(name, 1, group=group, version=version, resource=resource, **more)


async def _ready(_request: web.Request) -> web.Response:
    return web.Response(text="ok\n")


@contextlib.asynccontextmanager
async def serving(webhook: Webhook, address: str, context: ssl.SSLContext) -> AsyncIterator[int]:
    """The webhook at ``ADDRESS:PORT`` while this is open; gives the port. Raises :class:`OSError` that names the setting."""
    host, _, port = address.rpartition(":")
    served = web.AppRunner(webhook.application(), access_log=None)
    await served.setup()
    try:
        server = await asyncio.get_running_loop().create_server(
            served.server,  # type: ignore[arg-type]
            host.strip("[]"),
            int(port),
            ssl=context,
            ssl_handshake_timeout=HANDSHAKE_SECONDS,
        )
    except OSError as error:
        await served.cleanup()
        raise OSError(f"webhook.address: {address} cannot be bound: {error.strerror}; set another one") from None
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await served.cleanup()

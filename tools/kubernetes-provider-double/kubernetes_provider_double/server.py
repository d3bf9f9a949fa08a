"""The gRPC service and its life: prints its port, serves, ends quietly on a signal or with its engine."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.protobuf import any_pb2
from meshwright_pulumi_host.engine import end_with_engine
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.server import ProviderServicer
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2, provider_pb2_grpc, status_pb2

from kubernetes_provider_double.errors import ProviderError
from kubernetes_provider_double.provider import InitialisationError, KubernetesDouble

MESSAGE_LIMIT = 400 * 1024 * 1024
"""Bytes; the limit that the engine itself uses."""
INTRODUCTION_SECONDS = 5.0
VERSION_FILE = Path(__file__).parents[1] / "version"
"""Beside the package, written when it is packed."""


class Service(ProviderServicer):
    """Pulumi's service for providers in Python, but errors are for the user: one message, without a traceback."""

    async def CheckConfig(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        return await _told(super().CheckConfig(request, context), context)

    async def DiffConfig(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        answer = await _told(super().DiffConfig(request, context), context)  # type: ignore[no-untyped-call]
        # The base takes a truth value for the protocol's number, by which a change would be none.
        answer.changes = provider_pb2.DiffResponse.DIFF_SOME if answer.diffs else provider_pb2.DiffResponse.DIFF_NONE
        return answer

    async def Configure(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        await _introduce(self._engine_address)
        return await _told(super().Configure(request, context), context)

    async def Invoke(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        return await _told(super().Invoke(request, context), context)

    async def Check(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        return await _told(super().Check(request, context), context)

    async def Diff(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        return await _told(super().Diff(request, context), context)

    async def Create(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        return await _told(super().Create(request, context), context)  # type: ignore[no-untyped-call]

    async def Update(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        return await _told(super().Update(request, context), context)  # type: ignore[no-untyped-call]

    async def Read(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        return await _told(super().Read(request, context), context)  # type: ignore[no-untyped-call]

    async def Delete(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        return await _told(super().Delete(request, context), context)  # type: ignore[no-untyped-call]

    async def Construct(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        # Not the base's: it adds a traceback to every message.
        return await _told(self._construct(request, context), context)


async def _told(call: Coroutine[Any, Any, Any], context: grpc.aio.ServicerContext) -> Any:
    """The answer of a call, or its error as the engine shows it."""
    try:
        return await call
    except InitialisationError as error:
        await context.abort_with_status(_Status(error))
    except ProviderError as error:
        await context.abort(grpc.StatusCode.UNKNOWN, str(error))


async def _introduce(engine: str) -> None:
    """Say in the update's own output what runs here."""
    message = f"kubernetes: a test double of pulumi-kubernetes' provider, version {version()}"
    try:
        async with grpc.aio.insecure_channel(engine) as channel:
            said = engine_pb2.LogRequest(severity=engine_pb2.INFO, message=message)
            await engine_pb2_grpc.EngineStub(channel).Log(said, timeout=INTRODUCTION_SECONDS)
    except grpc.aio.AioRpcError:
        sys.stderr.write(f"{message}\n")


class _Status(grpc.Status):  # type: ignore[misc]
    """By which the engine keeps an object in its state that was made and is not ready."""

    def __init__(self, error: InitialisationError) -> None:
        detail = any_pb2.Any()
        detail.Pack(
            provider_pb2.ErrorResourceInitFailed(
                id=error.identifier,
                properties=PropertyValue.marshal_map(error.state),
                inputs=PropertyValue.marshal_map(error.inputs),
                reasons=[str(error)],
            )
        )
        status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(error), details=[detail])
        self.code = grpc.StatusCode.UNKNOWN
        self.details = str(error)
        self.trailing_metadata = (("grpc-status-details-bin", status.SerializeToString()),)


def version() -> str:
    """The version of the real provider whose place it takes, with ``+double``."""
    return VERSION_FILE.read_text(encoding="utf-8").strip() if VERSION_FILE.exists() else "0.0.0+double"


async def serve(engine: str) -> None:
    """Serve on a free port of loopback, print the port (the engine reads it), and end on SIGINT or SIGTERM."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    options = [("grpc.max_receive_message_length", MESSAGE_LIMIT), ("grpc.max_send_message_length", MESSAGE_LIMIT)]
    server = grpc.aio.server(options=options)
    service = Service(sys.argv[1:], version(), KubernetesDouble(), engine_address=engine)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await stop.wait()
    await server.stop(grace=0.2)


def main() -> None:
    """Entry point: the last argument that is no option is the engine's address."""
    end_with_engine()
    addresses = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    asyncio.run(serve(addresses[-1] if addresses else ""))

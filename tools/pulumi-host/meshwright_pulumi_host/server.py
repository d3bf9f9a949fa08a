"""The gRPC service of the language host, and its life: prints its port, serves, ends quietly on a signal."""

from __future__ import annotations

import importlib.metadata
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import IO

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

from meshwright_pulumi_host.children import Children
from meshwright_pulumi_host.engine import end_with_engine
from meshwright_pulumi_host.programs import (
    ALREADY_REPORTED,
    RUNNER,
    ProgramError,
    interpreter,
    plugin_command,
    specification,
)

MESSAGE_LIMIT = 400 * 1024 * 1024
"""Bytes; the limit that the engine itself uses."""


class LanguageRuntime(language_pb2_grpc.LanguageRuntimeServicer):
    """``pulumirpc.LanguageRuntime`` as far as running programs and plugins needs it; the rest answers UNIMPLEMENTED."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._children = Children()

    def Handshake(
        self, request: language_pb2.LanguageHandshakeRequest, context: grpc.ServicerContext
    ) -> language_pb2.LanguageHandshakeResponse:
        """Learn the engine's address."""
        self._engine = request.engine_address or self._engine
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        """The host has the version of Pulumi's Python package."""
        return plugin_pb2.PluginInfo(version=importlib.metadata.version("pulumi"))

    def GetRequiredPackages(
        self, request: language_pb2.GetRequiredPackagesRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetRequiredPackagesResponse:
        """None ahead of time: the engine finds a provider when the first resource asks for it."""
        return language_pb2.GetRequiredPackagesResponse()

    def GetRequiredPlugins(
        self, request: language_pb2.GetRequiredPluginsRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetRequiredPluginsResponse:
        """As :meth:`GetRequiredPackages`."""
        return language_pb2.GetRequiredPluginsResponse()

    def About(self, request: language_pb2.AboutRequest, context: grpc.ServicerContext) -> language_pb2.AboutResponse:
        """The interpreter, for ``pulumi about``."""
        return language_pb2.AboutResponse(executable=sys.executable, version=sys.version.split()[0])

    def GetProgramDependencies(
        self, request: language_pb2.GetProgramDependenciesRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetProgramDependenciesResponse:
        """The distributions of the environment."""
        found = {item.name: item.version for item in importlib.metadata.distributions()}
        dependencies = [language_pb2.DependencyInfo(name=name, version=found[name]) for name in sorted(found)]
        return language_pb2.GetProgramDependenciesResponse(dependencies=dependencies)

    def InstallDependencies(
        self, request: language_pb2.InstallDependenciesRequest, context: grpc.ServicerContext
    ) -> Iterator[language_pb2.InstallDependenciesResponse]:
        """Nothing to do: the environment is made from the project's lock."""
        yield language_pb2.InstallDependenciesResponse(stdout=b"dependencies come from the lock: make setup\n")

    def Run(self, request: language_pb2.RunRequest, context: grpc.ServicerContext) -> language_pb2.RunResponse:
        """Run a program to its end; cancelling the call ends the program."""
        try:
            status = self._run(request, context)
        except (ProgramError, InterruptedError, OSError) as error:
            return language_pb2.RunResponse(error=str(error))
        if status == ALREADY_REPORTED:
            return language_pb2.RunResponse(bail=True)
        return language_pb2.RunResponse(error=f"program ended with status {status}" if status else "")

    def _run(self, request: language_pb2.RunRequest, context: grpc.ServicerContext) -> int:
        environment = dict(
            os.environ,
            PULUMI_PROJECT=request.project,
            PULUMI_STACK=request.stack,
            PULUMI_DRY_RUN=str(request.dryRun).lower(),
        )
        # Configuration may hold secrets, so it goes over a pipe: arguments and environment are seen in the process list.
        read_end, write_end = os.pipe()
        try:
            command = [interpreter(request.info), "-u", str(RUNNER), str(read_end)]
            with self._children.start(
                command, cwd=request.pwd or None, env=environment, pass_fds=(read_end,)
            ) as program:
                os.close(read_end)
                read_end = -1
                context.add_callback(lambda: self._children.stop(program))
                with os.fdopen(write_end, "wb") as pipe:
                    write_end = -1
                    pipe.write(specification(request, self._engine))
                return program.wait()
        except BrokenPipeError:
            return ALREADY_REPORTED  # ended before it read its specification; its own output says why
        finally:
            for end in (read_end, write_end):
                if end >= 0:
                    os.close(end)

    def RunPlugin(
        self, request: language_pb2.RunPluginRequest, context: grpc.ServicerContext
    ) -> Iterator[language_pb2.RunPluginResponse]:
        """Run a plugin (policy pack, component provider) and pass on its output until it ends."""
        environment = dict(entry.split("=", 1) for entry in request.env) or dict(os.environ)
        with self._children.start(
            plugin_command(request),
            cwd=request.pwd or None,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as plugin:
            context.add_callback(lambda: self._children.stop(plugin))
            yield from _output(plugin)
            yield language_pb2.RunPluginResponse(exitcode=plugin.wait())

    def Cancel(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """The user has cancelled the update."""
        self._children.interrupt()
        return empty_pb2.Empty()


def _output(plugin: subprocess.Popen[bytes]) -> Iterator[language_pb2.RunPluginResponse]:
    """Both output streams of a plugin, as they come."""
    chunks: queue.Queue[language_pb2.RunPluginResponse | None] = queue.Queue()

    def pump(stream: IO[bytes], wrap: Callable[[bytes], language_pb2.RunPluginResponse]) -> None:
        while chunk := os.read(stream.fileno(), 65536):
            chunks.put(wrap(chunk))
        chunks.put(None)

    streams = (
        (plugin.stdout, lambda chunk: language_pb2.RunPluginResponse(stdout=chunk)),
        (plugin.stderr, lambda chunk: language_pb2.RunPluginResponse(stderr=chunk)),
    )
    for stream_and_wrap in streams:
        threading.Thread(target=pump, args=stream_and_wrap, daemon=True).start()
    open_streams = len(streams)
    while open_streams:
        chunk = chunks.get()
        if chunk is None:
            open_streams -= 1
        else:
            yield chunk


def serve(engine: str, stop: threading.Event) -> None:
    """Serve on a free port of loopback, print the port (the engine reads it), and end when ``stop`` is set."""
    options = [("grpc.max_receive_message_length", MESSAGE_LIMIT), ("grpc.max_send_message_length", MESSAGE_LIMIT)]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16), options=options)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(LanguageRuntime(engine), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    stop.wait()
    server.stop(grace=0.2).wait()


def main() -> None:
    """Entry point: the last argument that is no option is the engine's address."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    end_with_engine()
    addresses = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    serve(addresses[-1] if addresses else "", stop)

"""Runs one Pulumi program: ``python run_program.py FD``, with the specification as JSON on that file descriptor.

The exit status is 0, or ``ALREADY_REPORTED`` when the engine has the error. It runs under the interpreter of the program, so
it imports nothing of the host.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import runpy
import signal
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pulumi
import pulumi.runtime

ALREADY_REPORTED = 32


def end(status: int) -> None:
    """Leave at once: gRPC's threads and the program's own must not delay the end or print tracebacks of theirs."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def prepare(specification: dict[str, Any]) -> str:
    """Set configuration, settings, arguments and import path; returns the path of the program."""
    settings = specification["settings"]
    pulumi.runtime.set_all_config(specification["config"], specification["secret_keys"])
    pulumi.runtime.configure(pulumi.runtime.Settings(**settings))
    program: str = specification["program"]
    sys.argv = [program, *specification["arguments"]]
    sys.path[0] = program if os.path.isdir(program) else os.path.dirname(program)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # a cancelled run leaves tasks behind, which is no news
    return program


def report(error: Exception, program: str) -> str:
    """The traceback from the program's first frame on: what lies above it is how we run programs."""
    trace = error.__traceback__
    while trace and not trace.tb_frame.f_code.co_filename.startswith(program):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace or error.__traceback__))


def run(program: str, parallel: int) -> int:
    """Run the program in the stack's root resource; errors go to the engine."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    # Registrations block a thread each; the default executor would serialise what --parallel allows.
    loop.set_default_executor(ThreadPoolExecutor(max_workers=max(parallel, 1) * 4))

    def body() -> None:
        runpy.run_path(program, run_name="__main__")

    try:
        loop.run_until_complete(pulumi.runtime.run_in_stack(body))
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
    except SystemExit as leaving:
        if leaving.code in (None, 0):
            return 0
        pulumi.log.error(f"Program ended with: {leaving.code}")
    except Exception as error:  # the edge: whatever a program raises is its error report
        pulumi.log.error("Program failed with an unhandled exception:\n" + report(error, program))
    else:
        return 0
    return ALREADY_REPORTED


def main() -> None:
    """Entry point."""
    for number in (signal.SIGINT, signal.SIGTERM):  # how the engine's cancellation arrives
        signal.signal(number, lambda *_: os._exit(ALREADY_REPORTED))
    with os.fdopen(int(sys.argv[1])) as pipe:
        specification = json.load(pipe)
    program = prepare(specification)
    end(run(program, min(specification["settings"]["parallel"], 64)))


if __name__ == "__main__":
    main()

"""How programs and plugins become command lines: which interpreter, which file, and what a program is told."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from pulumi.runtime.proto import language_pb2

ALREADY_REPORTED = 32
"""Exit status of a program that has told the engine its error itself."""

RUNNER = Path(__file__).with_name("run_program.py")


class ProgramError(RuntimeError):
    """The program cannot be started; the message is for the user."""


def interpreter(info: language_pb2.ProgramInfo) -> str:
    """The Python of ``runtime.options.virtualenv`` (relative to Pulumi.yaml), else the one that runs the host."""
    options = json_format.MessageToDict(info.options) if info.HasField("options") else {}
    virtualenv = options.get("virtualenv")
    if not virtualenv:
        return sys.executable
    python = Path(info.root_directory, str(virtualenv), "bin", "python")
    if not python.exists():
        raise ProgramError(f"Pulumi.yaml: runtime.options.virtualenv is {virtualenv!r}, but {python} does not exist")
    return str(python)


def specification(request: language_pb2.RunRequest, engine: str) -> bytes:
    """What ``run_program`` needs to know, as JSON. It may hold secrets: send it over a pipe only."""
    program = os.path.join(request.info.program_directory or request.pwd, request.info.entry_point or ".")
    content: dict[str, Any] = {
        "program": os.path.normpath(program),
        "arguments": list(request.args),
        "config": dict(request.config),
        "secret_keys": list(request.configSecretKeys),
        "settings": {
            "project": request.project,
            "stack": request.stack,
            "organization": request.organization or "organization",
            "parallel": request.parallel,
            "dry_run": request.dryRun,
            "monitor": request.monitor_address,
            "engine": engine,
            "root_directory": request.info.root_directory,
        },
    }
    return json.dumps(content).encode()


def plugin_command(request: language_pb2.RunPluginRequest) -> list[str]:
    """The command line of a plugin: a policy pack (kind ``analyzer``) runs in Pulumi's policy server, others as programs."""
    python = [interpreter(request.info), "-u"]
    directory = request.info.program_directory
    if request.kind == "analyzer":
        return [*python, "-m", "pulumi.policy", *request.args, directory]
    return [*python, os.path.join(directory, request.info.entry_point or "."), *request.args]

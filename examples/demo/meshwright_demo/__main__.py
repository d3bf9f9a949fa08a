"""``python -m meshwright_demo PROGRAM``: exit code 64 for a wrong setting, 1 when it cannot run."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys

import psycopg

from meshwright_demo import __version__, app, log, settings
from meshwright_demo.migrations import MigrationError

EX_USAGE = 64
logger = logging.getLogger("meshwright_demo")


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="meshwright-demo", description="One workload of the demo.")
    parser.add_argument("program", choices=settings.PROGRAMS, help="which one")
    parser.add_argument("--port", type=int, metavar="PORT", help="instead of the variable PORT; 0: any free one")
    parser.add_argument("--bind", metavar="ADDRESS", help="instead of the variable BIND")
    parser.add_argument("--version", action="version", version=f"meshwright-demo {__version__}")
    arguments = parser.parse_args()
    try:
        environment = dict(os.environ)
        if arguments.port is not None:
            environment["PORT"] = str(arguments.port)
        if arguments.bind is not None:
            environment["BIND"] = arguments.bind
        wanted = settings.read(arguments.program, environment)
    except settings.SettingError as error:
        print(f"meshwright-demo {arguments.program}: {error}", file=sys.stderr)  # noqa: T201 - for whoever started it
        return EX_USAGE
    log.configure()
    try:
        asyncio.run(app.run(wanted))
    except (OSError, psycopg.Error, MigrationError) as error:
        log.event(logger, "cannot run", level=logging.CRITICAL, program=arguments.program, why=str(error).strip())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

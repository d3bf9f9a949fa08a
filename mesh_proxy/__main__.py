"""``mesh-proxy --bootstrap FILE [--check]``: the sidecar."""

import argparse
import sys
from pathlib import Path

from mesh_proxy.bootstrap import DocumentError, load_bootstrap

EX_USAGE = 64
"""Exit code for a bootstrap that is refused (``sysexits.h``), before any port is opened."""


def main(arguments: list[str] | None = None) -> int:
    """Runs the proxy until it is told to stop; returns the exit code."""
    parser = argparse.ArgumentParser(prog="mesh-proxy", description="The proxy beside a workload of the mesh.")
    parser.add_argument("--bootstrap", required=True, type=Path, metavar="FILE", help="Envoy's bootstrap, YAML or JSON")
    parser.add_argument("--check", action="store_true", help="read and check the bootstrap, then end")
    options = parser.parse_args(arguments)
    try:
        bootstrap = load_bootstrap(options.bootstrap)
    except DocumentError as error:
        print(f"mesh-proxy: {error}", file=sys.stderr)  # noqa: T201 - before there is a log
        return EX_USAGE
    if options.check:
        print(f"{options.bootstrap}: fine")  # noqa: T201
        return 0
    # Imported late: --check needs neither gRPC nor an HTTP server.
    from mesh_proxy.supervisor.app import run

    return run(bootstrap)


if __name__ == "__main__":
    sys.exit(main())

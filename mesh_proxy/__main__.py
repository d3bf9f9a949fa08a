"""``mesh-proxy run --config FILE``: the sidecar; ``mesh-proxy check``: whether a configuration could be run.

In a pod of Kubernetes: ``mesh-proxy pod``, the proxy as the pod's variables say; ``mesh-proxy redirect``, which has
connections come to it; ``mesh-proxy wait``, until it is ready.
"""

import argparse
import importlib.metadata
import sys
from pathlib import Path

from mesh_proxy.bootstrap import DocumentError, load_bootstrap

EX_USAGE = 64
"""Exit code for a bootstrap that is refused (``sysexits.h``), before any port is opened."""
POD_COMMANDS = ("pod", "redirect", "wait")
EX_DATAERR = 65
"""A configuration that was only to be checked cannot be run."""


def main(arguments: list[str] | None = None) -> int:
    """Runs the proxy until it is told to stop, or checks; returns the exit code."""
    options = _parser().parse_args(arguments)
    if options.bootstrap is not None:
        options.command, options.config = "check" if options.check else "run", options.bootstrap
    if options.command == "check" and options.xds is not None:
        return _check_dump(options.xds)
    if options.command in POD_COMMANDS:
        # Imported late: no other command needs any of it.
        from mesh_proxy.pod import commands

        return commands.run(options)
    if options.command is None or options.config is None:
        return _refuse("which configuration? Say: mesh-proxy run --config FILE")
    try:
        bootstrap = load_bootstrap(options.config)
    except DocumentError as error:
        return _refuse(str(error))
    if options.command == "run":
        # Imported late: checking needs neither gRPC nor an HTTP server.
        from mesh_proxy.supervisor.app import run

        return run(bootstrap)
    from mesh_proxy.checking import problems

    return _told(options.config, problems(bootstrap.static, bootstrap.secrets))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mesh-proxy", description="The proxy beside a workload of the mesh.")
    parser.add_argument("--version", action="version", version=f"meshwright {_version()}")
    parser.add_argument("--bootstrap", type=Path, metavar="FILE", help="the same as `run --config FILE`")
    parser.add_argument("--check", action="store_true", help="with --bootstrap: the same as `check --config FILE`")
    parser.set_defaults(command=None, config=None, xds=None)
    commands = parser.add_subparsers(dest="command", metavar="|".join(("run", "check", *POD_COMMANDS)))
    run = commands.add_parser("run", help="run the proxy until it is told to stop")
    run.add_argument("--config", required=True, type=Path, metavar="FILE", help="Envoy's bootstrap, YAML or JSON")
    check = commands.add_parser("check", help="tell what of a configuration cannot be run, and end")
    wanted = check.add_mutually_exclusive_group(required=True)
    wanted.add_argument("--config", type=Path, metavar="FILE", help="Envoy's bootstrap, YAML or JSON")
    wanted.add_argument("--xds", type=Path, metavar="DIR", help="a folder with cds.json, lds.json, rds.json, eds.json")
    _add_pod_commands(commands)
    return parser


def _add_pod_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    commands.add_parser("pod", help="run the proxy of a pod of Kubernetes, as its variables say")
    redirect = commands.add_parser("redirect", help="have a pod's connections come to its proxy")
    for name, default, what in (
        ("inbound-ports", "*", "ports of the application whose connections come to the proxy; *: all"),
        ("exclude-inbound-ports", "", "ports of the application that go past it"),
        ("outbound-ranges", "*", "networks to which connections go through the proxy; *: all"),
        ("exclude-outbound-ranges", "", "networks to which they go past it"),
        ("exclude-outbound-ports", "", "ports to which they go past it, whatever the network"),
        ("outbound-ports", "", "ports to which they go through it, whatever the network"),
    ):
        redirect.add_argument(
            f"--{name}", default=default, metavar="LIST", help=f"{what} (default: {default or 'none'})"
        )
    redirect.add_argument("--user", type=int, default=None, metavar="UID", help="whom the proxy runs as")
    redirect.add_argument("--print", action="store_true", help="print the rules, and change nothing")
    wait = commands.add_parser("wait", help="wait until the pod's proxy is ready")
    wait.add_argument("--seconds", type=float, default=120.0, metavar="N", help="how long at most (default: 120)")


def _check_dump(folder: Path) -> int:
    from mesh_proxy.checking import dumped, problems

    try:
        config, wrong = dumped(folder)
    except (OSError, ValueError) as error:
        return _refuse(str(error))
    return _told(folder, wrong + problems(config))


def _told(what: Path, wrong: list[str]) -> int:
    if not wrong:
        print(f"{what}: fine")  # noqa: T201
        return 0
    for problem in wrong:
        print(f"mesh-proxy: {what}: {' '.join(problem.split())}", file=sys.stderr)  # noqa: T201 - there is no log here
    return EX_DATAERR


def _refuse(reason: str) -> int:
    print(f"mesh-proxy: {reason}", file=sys.stderr)  # noqa: T201 - before there is a log
    return EX_USAGE


def _version() -> str:
    try:
        return importlib.metadata.version("meshwright")
    except importlib.metadata.PackageNotFoundError:
        return "0"  # a checkout that is not installed


if __name__ == "__main__":
    sys.exit(main())

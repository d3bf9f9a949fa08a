"""``mesh analyze``: what is wrong in files, or in what is in force, before requests find out."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from mesh_cli import output, standard_input
from mesh_policy.errors import PolicyError

if TYPE_CHECKING:  # here and below: the help need not wait for the analysis
    from mesh_policy.analysis.codes import Level
    from mesh_policy.analysis.finding import Finding

FOUND, UNREADABLE = 1, 2
"""Exit codes."""


class Threshold(StrEnum):
    """From which level on findings end the command with 1."""

    INFO = "Info"
    WARNING = "Warning"
    ERROR = "Error"

    @property
    def level(self) -> "Level":
        """The level of that name."""
        from mesh_policy.analysis.codes import Level

        return Level[self.name]


def analyze(
    files: Annotated[
        list[str] | None,
        typer.Argument(help="YAML or JSON files, folders, or - for standard input.", show_default=False),
    ] = None,
    form: Annotated[output.Form, typer.Option("--output", "-o", help="Form of the result.")] = output.Form.TEXT,
    threshold: Annotated[
        Threshold,
        typer.Option("--failure-threshold", case_sensitive=False, help="From which level on the command ends with 1."),
    ] = Threshold.ERROR,
    shown: Annotated[
        Threshold,
        typer.Option("--output-threshold", case_sensitive=False, help="From which level on findings are shown."),
    ] = Threshold.INFO,
    suppress: Annotated[
        list[str] | None,
        typer.Option(
            "--suppress", "-S", help="CODE, or CODE=KIND NAMESPACE/NAME with * for anything; may be repeated."
        ),
    ] = None,
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Namespace of objects that name none.")
    ] = "default",
    inventory: Annotated[
        Path | None, typer.Option(help="Static inventory with the services and workloads of bare machines.")
    ] = None,
    mesh_config: Annotated[
        Path | None, typer.Option("--mesh-config", "--meshConfigFile", help="File with Istio's MeshConfig.")
    ] = None,
    whole: Annotated[
        bool, typer.Option("--whole-mesh", help="The files are the whole mesh: what they do not hold does not exist.")
    ] = False,
    live: Annotated[
        bool, typer.Option("--live", help="What is in force at the control plane, with the files over it.")
    ] = False,
    socket: Annotated[Path, typer.Option(help="Socket of the control plane.")] = Path("/run/meshwright/control.sock"),
    list_codes: Annotated[
        bool, typer.Option("--list", "-L", help="Show every code with its meaning, and end.")
    ] = False,
) -> None:
    """Check policies against each other and against the services and workloads beside them.

    Without files, what is in force at the control plane is checked. Ends with 0 when nothing was found at the failure
    threshold, with 1 when something was, and with 2 when a file cannot be read or the control plane does not answer.
    """
    if list_codes:
        _list(form)
        return
    findings, counted = _findings(files or [], suppress or [], namespace, inventory, mesh_config, whole, live, socket)
    told = [finding for finding in findings if finding.level >= shown.level]
    if form is output.Form.JSON:
        output.result([as_json(finding) for finding in told])
    else:
        for finding in told:
            typer.echo(finding.located())
        output.say(_summary(findings, counted))
    if any(finding.level >= threshold.level for finding in findings):
        raise typer.Exit(FOUND)


def _findings(
    files: Sequence[str],
    suppress: Sequence[str],
    namespace: str,
    inventory: Path | None,
    mesh_config: Path | None,
    whole: bool,
    live: bool,
    socket: Path,
) -> "tuple[list[Finding], str]":
    from mesh_policy.analysis.checks import Suppression, analyze
    from mesh_policy.analysis.codes import CODES
    from mesh_policy.analysis.context import Knowledge
    from mesh_policy.analysis.inputs import read_inputs
    from mesh_policy.objects import MeshConfig

    try:
        chosen = [Suppression.parse(text) for text in suppress]
    except ValueError as error:
        _unreadable(f"--suppress {error}")
    for suppression in chosen:
        if suppression.code not in CODES:
            output.say(f"--suppress {suppression.code}: there is no such code; see mesh analyze --list")
    texts, services, workloads = [], None, None
    if live or not files:
        policies, services, workloads = _in_force(socket)
        texts.append(("in force", policies))
    try:
        texts += [text for file in files for text in _read(file)]
        inputs = read_inputs(texts, namespace)
    except PolicyError as error:
        _unreadable(str(error))
    if inventory is not None:
        services, workloads = _of_inventory(inventory)
    mesh = MeshConfig() if mesh_config is None else _mesh(mesh_config)
    known = Knowledge(mesh, whole, services, workloads, now=datetime.now(UTC))
    return analyze(inputs, known, chosen), f"{_many(len(inputs.objects), 'object')} of {_many(len(texts), 'file')}"


def _read(file: str) -> list[tuple[str, str]]:
    """Names and texts of the files at a path; a folder's are those that look like YAML or JSON."""
    from mesh_policy.load import read_files

    if file == "-":
        return [(standard_input.NAME, standard_input.read())]
    path = Path(file)
    found = read_files(path)
    if path.is_dir():
        found += [text for name in sorted(path.rglob("*.json")) for text in read_files(name)]
    return found


def _in_force(socket: Path) -> tuple[str, list[Any], list[Any]]:
    """The policies of every owner as YAML, and the services and workloads that the control plane knows."""
    from mesh_control.client import ControlClient, ControlError
    from mesh_policy.analysis.hosts import KnownService
    from mesh_policy.analysis.pods import KnownWorkload

    try:
        world = asyncio.run(ControlClient(socket).world())
    except ControlError as error:
        _unreadable(str(error))
    services = [
        KnownService(
            service["hostname"],
            tuple(port["number"] for port in service["ports"]),
            {port["number"]: port["protocol"].lower() for port in service["ports"]},
        )
        for service in world["services"]
    ]
    workloads = [
        KnownWorkload(workload["namespace"], workload["labels"], host)
        for workload in world["workloads"]
        for host in workload["hosts"] or [""]
    ]
    workloads += [
        KnownWorkload(proxy["namespace"], proxy["labels"], gateway=True) for proxy in world.get("gateways", ())
    ]
    return str(world["policies"]), services, workloads


def _of_inventory(path: Path) -> tuple[list[Any], list[Any]]:
    """The services and workloads of bare machines."""
    from mesh_control.sources import inventory
    from mesh_control.world import World
    from mesh_policy.analysis.hosts import KnownService
    from mesh_policy.analysis.pods import KnownWorkload

    try:
        world = World.of(*inventory.read(path).parts())
    except inventory.InventoryError as error:
        _unreadable(str(error))
    known = [
        KnownService(
            service.hostname,
            tuple(port.number for port in service.ports),
            {port.number: port.protocol.value.lower() for port in service.ports},
        )
        for service in world.services
    ]
    members = [(workload, host) for host, chosen in world.members.items() for workload in chosen]
    taken = {id(workload) for workload, _ in members}
    alone = [(workload, "") for workload in world.workloads if id(workload) not in taken]
    return known, [KnownWorkload(workload.namespace, workload.labels, host) for workload, host in members + alone]


def _mesh(path: Path) -> Any:
    """The mesh's configuration of a file; one that cannot be read ends the command with 2."""
    from mesh_policy.objects import ObjectError, read_mesh_config

    try:
        return read_mesh_config(path.read_text(encoding="utf-8"))
    except OSError as error:
        _unreadable(f"{path}: cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        _unreadable(f"{path}: cannot be read: is not UTF-8; save it in that encoding")
    except ObjectError as error:
        from mesh_policy.analysis.finding import dotted

        field = f"{dotted(error.path)}: " if error.path else ""
        _unreadable(f"{path}: {field}{error.message}")


def _unreadable(message: str) -> NoReturn:
    output.fail(message, UNREADABLE)


def as_json(finding: "Finding") -> dict[str, Any]:
    """A finding as plain values, with the fields that istioctl writes and ours beside them."""
    from mesh_policy.analysis.codes import CODES

    code = CODES[finding.code]
    value = {
        "code": finding.code,
        "type": code.name,
        "level": finding.level.name.capitalize(),
        "kind": finding.kind,
        "namespace": finding.namespace,
        "name": finding.name,
        "origin": finding.subject,
        "source": finding.source,
        "line": finding.line,
        "reference": f"{finding.source}:{finding.line}" if finding.line else finding.source,
        "field": finding.field,
        "message": finding.message,
    }
    if code.documentation:
        value["documentation"] = value["documentationUrl"] = code.documentation
    return value


def _summary(findings: "Sequence[Finding]", counted: str) -> str:
    from mesh_policy.analysis.codes import Level

    counts = [
        _many(sum(finding.level is level for finding in findings), level.name.lower())
        for level in sorted(Level, reverse=True)
        if any(finding.level is level for finding in findings)
    ]
    return f"{', '.join(counts) or 'nothing found'} in {counted}"


def _many(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 or what == "info" else f"{number} {what}s"


def _list(form: output.Form) -> None:
    from mesh_policy.analysis.codes import CODES, LEFT_OUT

    if form is output.Form.JSON:
        output.result(
            [
                {"code": code.code, "name": code.name, "level": code.level.name.capitalize(), "meaning": code.meaning}
                for code in CODES.values()
            ]
        )
        return
    rows = [[code.code, code.level.name.lower(), code.name, code.meaning] for code in CODES.values()]
    typer.echo(output.table(["code", "level", "name", "meaning"], rows))
    typer.echo("\nNever found here:")
    typer.echo(output.table(["code", "reason"], [[code, reason] for code, reason in LEFT_OUT.items()]))

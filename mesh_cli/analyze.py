"""``mesh analyze``: what is wrong in files, or in what is in force, before requests find out."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, NoReturn

import typer

from mesh_cli import output, reading
from mesh_cli.asking import Form, Inventory, Namespace, settings_of
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


Files = Annotated[
    list[str] | None,
    typer.Argument(help="YAML or JSON files, folders, or - for standard input.", show_default=False),
]
Failure = Annotated[
    Threshold,
    typer.Option("--failure-threshold", case_sensitive=False, help="From which level on the command ends with 1."),
]
Shown = Annotated[
    Threshold,
    typer.Option("--output-threshold", case_sensitive=False, help="From which level on findings are shown."),
]
Suppress = Annotated[
    list[str] | None,
    typer.Option("--suppress", "-S", help="CODE, or CODE=KIND NAMESPACE/NAME with * for anything; may be repeated."),
]
MeshConfigFile = Annotated[
    Path | None, typer.Option("--mesh-config", "--meshConfigFile", help="File with Istio's MeshConfig.")
]
Whole = Annotated[
    bool, typer.Option("--whole-mesh", help="The files are the whole mesh: what they do not hold does not exist.")
]
Live = Annotated[bool, typer.Option("--live", help="What is in force at the control plane, with the files over it.")]
Socket = Annotated[Path, typer.Option(help="Socket of the control plane.")]
ListCodes = Annotated[bool, typer.Option("--list", "-L", help="Show every code with its meaning, and end.")]


def analyze(
    files: Files = None,
    form: Form = output.Form.TEXT,
    threshold: Failure = Threshold.ERROR,
    shown: Shown = Threshold.INFO,
    suppress: Suppress = None,
    namespace: Namespace = "default",
    inventory: Inventory = None,
    mesh_config: MeshConfigFile = None,
    whole: Whole = False,
    live: Live = False,
    socket: Socket = Path("/run/meshwright/control.sock"),
    list_codes: ListCodes = False,
) -> None:
    """Check policies against each other and against the services and workloads beside them.

    Without files, what is in force at the control plane is checked. Ends with 0 when nothing was found at the failure
    threshold, with 1 when something was, and with 2 when a file cannot be read or the control plane does not answer.
    """
    if list_codes:
        _list(form)
        return
    found = _findings(files or [], suppress or [], namespace, inventory, mesh_config, whole, live, socket)
    told = [finding for finding in found.findings if finding.level >= shown.level]
    if form is output.Form.JSON:
        output.result([as_json(finding) for finding in told])
    else:
        for finding in told:
            output.tell(finding.located())
        output.say(_summary(found.findings, found.counted))
        reading.say_passed_over(found.passed_over)
    if any(finding.level >= threshold.level for finding in found.findings):
        raise typer.Exit(FOUND)


class _Found(NamedTuple):
    """What is found, in how much, and what of folders is no object."""

    findings: "list[Finding]"
    counted: str
    passed_over: Sequence[str]


def _findings(
    files: Sequence[str],
    suppress: Sequence[str],
    namespace: str,
    inventory: Path | None,
    mesh_config: Path | None,
    whole: bool,
    live: bool,
    socket: Path,
) -> _Found:
    from mesh_policy.analysis.checks import Suppression, analyze
    from mesh_policy.analysis.codes import CODES
    from mesh_policy.analysis.context import Knowledge
    from mesh_policy.analysis.inputs import read_inputs

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
        texts += reading.texts(files)
        inputs = read_inputs(texts, namespace)
    except PolicyError as error:
        _unreadable(str(error))
    if inventory is not None:
        services, workloads = _of_inventory(inventory)
    known = Knowledge(settings_of(mesh_config), whole, services, workloads, now=datetime.now(UTC))
    counted = f"{_many(len(inputs.objects), 'object')} of {_many(len(texts), 'file')}"
    return _Found(analyze(inputs, known, chosen), counted, inputs.passed_over)


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
    output.tell(output.table(["code", "level", "name", "meaning"], rows))
    output.tell("\nNever found here:")
    output.tell(output.table(["code", "reason"], [[code, reason] for code, reason in LEFT_OUT.items()]))

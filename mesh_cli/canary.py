"""``mesh canary``: releases that the control plane moves step by step."""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from mesh_cli import output
from mesh_cli.policies import DEFAULT_SOCKET, Form, Socket, call
from mesh_control.client import ControlClient, ControlError

app = typer.Typer(help="Releases that the control plane moves step by step.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="SERVICE or SERVICE.NAMESPACE of the release.")]
Kubeconfig = Annotated[
    Path | None, typer.Option(help="Login of a cluster, whose control plane has the releases; instead of --socket.")
]
Home = Annotated[str, typer.Option("--control-namespace", help="Of a cluster: the namespace of its control plane.")]
HOME = "istio-system"
Reason = Annotated[str, typer.Option(help="Why; it is kept with the release.")]
POLL = 0.5
"""Seconds between two looks at a release that is watched."""
ENDS = ("promoted", "aborted")


class Client(Protocol):
    """Whom releases are asked about. Everything raises :class:`~mesh_control.client.ControlError`."""

    async def rollouts(self) -> dict[str, Any]:
        """Every release by name."""

    async def rollout(self, name: str) -> dict[str, Any]:
        """Where a release is."""

    async def start_rollout(self, text: str) -> dict[str, Any]:
        """Begin a release, given as JSON."""

    async def order_rollout(self, name: str, order: str, reason: str = "") -> dict[str, Any]:
        """Give a release an order."""

    async def remove_rollout(self, name: str) -> None:
        """Forget a release that has ended."""


def client_of(socket: Path, kubeconfig: Path | None, namespace: str) -> Client:
    """The control plane on that socket, or that of a cluster; a login that cannot be used ends the command with 2."""
    if kubeconfig is None:
        return ControlClient(socket)
    # Here, for the other ones are not to wait for them.
    from mesh_control.rollouts.outside import ClusterReleases
    from mesh_control.sources.kubernetes.access import AccessError, from_kubeconfig

    try:
        return ClusterReleases(from_kubeconfig(kubeconfig), namespace)
    except AccessError as error:
        output.fail(str(error), 2)


@app.command()
def start(
    file: Annotated[Path, typer.Argument(help="Python program, YAML or JSON that declares the release.")],
    names: Annotated[list[str] | None, typer.Argument(help="Of several releases those of these services.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Stay until it has ended; 1 when it was aborted.")] = False,
    socket: Socket = DEFAULT_SOCKET,
    kubeconfig: Kubeconfig = None,
    home: Home = HOME,
    form: Form = output.Form.TEXT,
) -> None:
    """Begin releases. With --wait, follow them: 0 when every one was promoted, 1 when one was aborted, with the reason."""
    from mesh_cli.release_files import ReleaseFileError, read

    try:
        rollouts = read(file)
    except ReleaseFileError as error:
        output.fail(str(error), 2)
    wanted = {full_name(name) for name in names or ()}
    unknown = wanted - {rollout.name for rollout in rollouts}
    if unknown:
        known = ", ".join(rollout.name for rollout in rollouts)
        output.fail(f"{file} declares no release of {', '.join(sorted(unknown))}; it declares {known}", 2)
    client = client_of(socket, kubeconfig, home)
    begun = [
        call(client.start_rollout(json.dumps(rollout.to_document())))
        for rollout in rollouts
        if not wanted or rollout.name in wanted
    ]
    if wait:
        begun = call(_follow(client, [str(item["name"]) for item in begun]))
    _show(begun, form)
    if wait and any(item["phase"] != "promoted" for item in begun):
        raise typer.Exit(1)


@app.command()
def status(
    name: Annotated[str | None, typer.Argument(help="SERVICE or SERVICE.NAMESPACE; all, when none is given.")] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow until it has ended.")] = False,
    socket: Socket = DEFAULT_SOCKET,
    kubeconfig: Kubeconfig = None,
    home: Home = HOME,
    form: Form = output.Form.TEXT,
) -> None:
    """Where releases are: their phase, weight, step and measurements."""
    client = client_of(socket, kubeconfig, home)
    found = list(call(client.rollouts()).values()) if name is None else [call(client.rollout(full_name(name)))]
    if watch:
        found = call(_follow(client, [str(item["name"]) for item in found if item["phase"] not in ENDS]))
    if not found and form is output.Form.TEXT:
        output.say("there is no release")
        return
    _show(found, form)


def _order(client: Client, name: str, order: str, reason: str, form: output.Form) -> None:
    _show([call(client.order_rollout(full_name(name), order, reason))], form)


def _command(order: str, told: str) -> None:
    """A command that gives that order, with a reason."""

    @app.command(order, help=told)
    def give(
        name: Name,
        reason: Reason = "",
        socket: Socket = DEFAULT_SOCKET,
        kubeconfig: Kubeconfig = None,
        home: Home = HOME,
        form: Form = output.Form.TEXT,
    ) -> None:
        _order(client_of(socket, kubeconfig, home), name, order, reason, form)


_command("promote", "Give all traffic to the candidate now.")
_command("abort", "Take all traffic back to the stable version now.")
_command("pause", "Stay at the present weight. Limits still abort.")


@app.command()
def resume(
    name: Name,
    socket: Socket = DEFAULT_SOCKET,
    kubeconfig: Kubeconfig = None,
    home: Home = HOME,
    form: Form = output.Form.TEXT,
) -> None:
    """Go on after a pause."""
    _order(client_of(socket, kubeconfig, home), name, "resume", "", form)


@app.command()
def remove(name: Name, socket: Socket = DEFAULT_SOCKET, kubeconfig: Kubeconfig = None, home: Home = HOME) -> None:
    """Forget a release that has ended, and take its policies away."""
    call(client_of(socket, kubeconfig, home).remove_rollout(full_name(name)))


def full_name(name: str) -> str:
    """``SERVICE.NAMESPACE``; the namespace is ``default`` where none is given."""
    return name if "." in name else f"{name}.default"


async def _follow(client: Client, names: list[str]) -> list[dict[str, Any]]:
    """Tells every change of the releases until each has ended; a control plane that is started again is waited for."""
    told: dict[str, str] = {}
    began, silent_since = time.monotonic(), None
    while True:
        try:
            found = [await client.rollout(name) for name in names]
            silent_since = None
        except ControlError as error:
            if error.status:
                raise
            silent_since = silent_since or time.monotonic()
            if time.monotonic() - silent_since > 60:
                raise
            await asyncio.sleep(POLL)
            continue
        for item in found:
            line = summary(item)
            if _stripped(item) != told.get(item["name"]):
                told[item["name"]] = _stripped(item)
                output.say(f"[{time.monotonic() - began:6.1f} s] {line}")
        if all(item["phase"] in ENDS for item in found):
            return found
        await asyncio.sleep(POLL)


def _stripped(item: dict[str, Any]) -> str:
    """What makes a new line: not every number that moves."""
    return repr((item["phase"], item["step"], item["weight"], item["waiting"], item["reason"]))


def summary(item: dict[str, Any]) -> str:
    """A release in one line."""
    stable, candidate = item["versions"]
    words = [f"{item['name']}: {item['phase']}", f"{candidate} {item['weight']} %, {stable} {100 - item['weight']} %"]
    if item["kind"] == "Mirror":
        words[1] = f"{item['weight']} % of {stable}'s requests copied to {candidate}"
    if item["phase"] in ("progressing", "paused"):
        words.append(f"step {item['step'] + 1} of {len(item['steps'])}")
        if item["hold_seconds"] is not None:
            words.append(f"held {item['held']:.0f} of {item['hold_seconds']:g} s")
    words += [f"{limit}: {measured}" for limit, measured in item["measured"].items()]
    words += [f"waits: {item['waiting']}"] if item["waiting"] else []
    words += [item["reason"]] if item["reason"] else []
    return "; ".join(words)


def _show(found: list[dict[str, Any]], form: output.Form) -> None:
    if form is output.Form.JSON:
        output.result(found)
        return
    for item in found:
        line = summary(item)
        (sys.stderr if item["phase"] == "aborted" else sys.stdout).write(line + "\n")

"""``mesh policies``: sets of policies at the control plane, by owner."""

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from mesh_cli import output, reading
from mesh_control.client import ControlClient, ControlError
from mesh_policy.errors import PolicyError

if TYPE_CHECKING:
    from mesh_policy import Policy

app = typer.Typer(help="Sets of policies at the control plane, by owner.", no_args_is_help=True)
DEFAULT_SOCKET = Path("/run/meshwright/control.sock")
Socket = Annotated[Path, typer.Option(help="Socket of the control plane.")]
Owner = Annotated[str, typer.Option(help="Whose set.")]
Wait = Annotated[float, typer.Option(help="Seconds to wait until every proxy has taken it.")]
Form = Annotated[output.Form, typer.Option("--output", "-o", help="Form of the result.")]
T = TypeVar("T")


def call(work: Coroutine[Any, Any, T]) -> T:
    """Run a call of the client; its failure ends the command with its message."""
    try:
        return asyncio.run(work)
    except ControlError as error:
        output.fail(str(error))


@app.command()
def apply(
    files: Annotated[
        list[Path] | None, typer.Argument(help="YAML or JSON files, or folders; standard input when none is given.")
    ] = None,
    socket: Socket = DEFAULT_SOCKET,
    owner: Owner = "default",
    wait: Wait = 60.0,
    form: Form = output.Form.TEXT,
) -> None:
    """Make the documents the owner's whole set, and wait until every proxy has taken it.

    A folder stands for all *.yaml, *.yml and *.json files below it. Ends with 1 when the set is refused. That there is no
    policy at all is a mistake (an empty file, a pipe whose other end failed) rather than a wish to take everything away.
    """
    from mesh_policy.load import dump  # here and below: brings pydantic, which the other verbs need not wait for

    policies = _policies(files or [])
    if not policies and form is output.Form.TEXT:  # programs that read JSON have a set that may become empty
        places = ", ".join(map(str, files or [])) or reading.STANDARD_INPUT
        output.fail(f"there is no policy in {places}; to take a set away use: mesh policies delete")
    applied = call(ControlClient(socket).apply(owner, dump(policies), wait))
    if form is output.Form.JSON:
        output.result(applied)
        return
    for warning in applied["warnings"]:
        output.say(warning)
    output.tell(f"in force as {applied['version']}, taken by {len(applied['proxies'])} proxies")


def _policies(files: list[Path]) -> "list[Policy]":
    """The policies of the files, or of standard input; problems are told here, where file and line are known."""
    from mesh_policy.load import load_everything, name_of

    try:
        everything = load_everything(reading.texts(files or ["-"]))
    except PolicyError as error:
        output.fail(str(error))
    for other in everything.others:
        output.say(f"{other['kind']} {name_of(other)} is no policy and was passed over")
    reading.say_passed_over(everything.passed_over)
    return [item.policy for item in everything.policies]


@app.command()
def get(socket: Socket = DEFAULT_SOCKET, owner: Owner = "default") -> None:
    """The owner's policies as YAML."""
    text = call(ControlClient(socket).get(owner))
    if not text:
        output.say(f"{owner} has no policies")
    sys.stdout.write(text)


@app.command()
def delete(socket: Socket = DEFAULT_SOCKET, owner: Owner = "default", wait: Wait = 60.0) -> None:
    """Take all of the owner's policies away."""
    call(ControlClient(socket).delete(owner, wait))

"""``mesh policies``: sets of policies at the control plane, by owner."""

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from mesh_cli import output
from mesh_control.client import ControlClient, ControlError

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
    files: Annotated[list[Path] | None, typer.Argument(help="YAML files; standard input when none is given.")] = None,
    socket: Socket = DEFAULT_SOCKET,
    owner: Owner = "default",
    wait: Wait = 60.0,
    form: Form = output.Form.TEXT,
) -> None:
    """Make the documents the owner's whole set, and wait until every proxy has taken it."""
    text = "\n---\n".join(file.read_text() for file in files) if files else sys.stdin.read()
    applied = call(ControlClient(socket).apply(owner, text, wait))
    if form is output.Form.JSON:
        output.result(applied)
        return
    for warning in applied["warnings"]:
        output.say(warning)
    typer.echo(f"in force as {applied['version']}, taken by {len(applied['proxies'])} proxies")


@app.command()
def get(socket: Socket = DEFAULT_SOCKET, owner: Owner = "default") -> None:
    """The owner's policies as YAML."""
    sys.stdout.write(call(ControlClient(socket).get(owner)))


@app.command()
def delete(socket: Socket = DEFAULT_SOCKET, owner: Owner = "default", wait: Wait = 60.0) -> None:
    """Take all of the owner's policies away."""
    call(ControlClient(socket).delete(owner, wait))

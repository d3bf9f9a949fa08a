"""``mesh tokens``: with which a workload that has no certificate yet gets its first one."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from mesh_cli import output
from mesh_cli.policies import DEFAULT_SOCKET, Form, Socket, call
from mesh_control.client import ControlClient

app = typer.Typer(help="Join tokens, for workloads that have no certificate yet.", no_args_is_help=True)


@app.command()
def create(
    identity: Annotated[
        str, typer.Argument(help="NAMESPACE/SERVICE-ACCOUNT, where * stands for any characters, or a SPIFFE id.")
    ],
    expires: Annotated[str, typer.Option(help="After which time it is good for nothing, used or not.")] = "1h",
    uses: Annotated[int, typer.Option(help="How many keys may be certified with it.")] = 1,
    note: Annotated[str, typer.Option(help="What it is for; shown in the list.")] = "",
    file: Annotated[Path | None, typer.Option(help="Write it to this new file, for its owner only to read.")] = None,
    socket: Socket = DEFAULT_SOCKET,
    form: Form = output.Form.TEXT,
) -> None:
    """Make a token and print it: it is not kept, and cannot be shown again."""
    seconds = _seconds(expires)
    target = None if file is None else _private(file)
    try:
        made = call(ControlClient(socket).create_token(identity, seconds, uses, note))
    except BaseException:
        if file is not None:
            file.unlink()  # nothing is in it
        raise
    if target is not None:
        with os.fdopen(target, "w") as opened:
            opened.write(made.pop("token") + "\n")
    if form is output.Form.JSON:
        output.result(made)
        return
    output.say(f"join token {made['id']} for {made['identity']}, until {output.moment(made['expires'])}")
    if "token" in made:
        sys.stdout.write(made["token"] + "\n")


@app.command("list")
def list_(socket: Socket = DEFAULT_SOCKET, form: Form = output.Form.TEXT) -> None:
    """Every token, without its secret."""
    found = call(ControlClient(socket).tokens())
    if form is output.Form.JSON:
        output.result(found)
        return
    rows = [
        [t["id"], t["state"], f"{t['used']}/{t['uses']}", output.moment(t["expires"]), t["identity"], t["note"]]
        for t in found
    ]
    output.tell(output.table(["id", "state", "used", "expires", "identity", "note"], rows))


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(metavar="ID", help="Of the token, as in the list.")],
    certificates: Annotated[
        bool, typer.Option("--certificates", help="What was issued upon it is not renewed, either.")
    ] = False,
    socket: Socket = DEFAULT_SOCKET,
    form: Form = output.Form.TEXT,
) -> None:
    """Make a token good for nothing. What was issued upon it stays valid until it expires."""
    done = call(ControlClient(socket).revoke_token(name, renewals=certificates))
    if form is output.Form.JSON:
        output.result(done)
        return
    if certificates:
        output.say(f"join token {name} is revoked; {done['certificates']} certificates will not be renewed")
    else:
        output.say(f"join token {name} is revoked")


def _seconds(text: str) -> float:
    from mesh_policy.durations import parse_duration  # brings pydantic

    try:
        return parse_duration(text).total_seconds()
    except ValueError as error:
        output.fail(f"--expires: {error}", 2)


def _private(file: Path) -> int:
    """A new file that nobody else may open, before there is a secret to write into it."""
    try:
        return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        output.fail(f"--file: {file}: {error.strerror}", 2)

"""``mesh ca``: who signs the mesh's certificates, and the change of who does."""

import sys
from typing import Any

import typer

from mesh_cli import output
from mesh_cli.policies import DEFAULT_SOCKET, Form, Socket, call
from mesh_control.client import ControlClient

app = typer.Typer(help="The certificate authority: its roots, their expiry and rotation.", no_args_is_help=True)
TURNS = {"next": "signs from", "current": "signs since", "retiring": "trusted until"}
"""What the time of a phase says."""


@app.command()
def status(socket: Socket = DEFAULT_SOCKET, form: Form = output.Form.TEXT) -> None:
    """Every root that is trusted, and until when. Ends with 1 when something must be seen to."""
    _show(call(ControlClient(socket).authority()), form)


@app.command()
def rotate(socket: Socket = DEFAULT_SOCKET, form: Form = output.Form.TEXT) -> None:
    """Make a new root. It is trusted at once, and signs when every certificate that was issued before has expired."""
    _show(call(ControlClient(socket).rotate_authority()), form)


@app.command()
def certificates(socket: Socket = DEFAULT_SOCKET, form: Form = output.Form.TEXT) -> None:
    """Every certificate that has not expired: to whom, upon which proof, until when."""
    found = call(ControlClient(socket).certificates())
    if form is output.Form.JSON:
        output.result(found)
        return
    rows = [
        [c["serial"], c["identity"], output.moment(c["expires"]), c["proof"], "revoked" if "revoked" in c else ""]
        for c in found
    ]
    typer.echo(output.table(["serial", "identity", "expires", "proof", ""], rows))


@app.command()
def bundle(socket: Socket = DEFAULT_SOCKET) -> None:
    """Every root that is trusted, in PEM: what a machine needs before it joins."""
    sys.stdout.write(call(ControlClient(socket).trust_bundle()))


def _show(found: dict[str, Any], form: output.Form) -> None:
    if form is output.Form.JSON:
        output.result(found)
    else:
        rows = [
            [
                root["name"][:12],
                root["phase"],
                output.moment(root["expires"]),
                f"{TURNS[root['phase']]} {output.moment(root['turn'])}",
            ]
            for root in found["roots"]
        ]
        typer.echo(output.table(["root", "phase", "expires", "turn"], rows))
        typer.echo(
            f"{found['certificates']} valid certificates in {found['trust_domain']}; "
            f"the control plane's own expires {output.moment(found['server_expires'])}"
        )
    if found["problem"]:
        output.fail(found["problem"])

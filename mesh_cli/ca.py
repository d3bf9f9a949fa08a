"""``mesh ca``: who signs the mesh's certificates, and the change of who does."""

import sys
from typing import Annotated, Any

import typer

from mesh_cli import output
from mesh_cli.policies import DEFAULT_SOCKET, Form, Socket, call
from mesh_control.client import ControlClient

app = typer.Typer(help="The certificate authority: its roots, their expiry and rotation.", no_args_is_help=True)
TURNS = {"next": "signs from", "current": "signs since", "retiring": "trusted until"}
"""What the time of a phase says."""
BROKEN = {
    "signed": "its certificate proves nothing: it has to join anew",
    "strangers": "it does not know who signs then: it has to be given the new roots",
}
"""What is told of whoever is let down by a root that is trusted no more."""


@app.command()
def status(socket: Socket = DEFAULT_SOCKET, form: Form = output.Form.TEXT) -> None:
    """Every root that is trusted, and until when. Ends with 1 when something must be seen to."""
    _show(call(ControlClient(socket).authority()), form)


@app.command()
def rotate(socket: Socket = DEFAULT_SOCKET, form: Form = output.Form.TEXT) -> None:
    """Make a new root. It is trusted at once, and signs when every certificate that was issued before has expired."""
    _show(call(ControlClient(socket).rotate_authority()), form)


@app.command()
def distrust(
    root: Annotated[str, typer.Argument(metavar="ROOT", help="Its name or the beginning of it, as in the status.")],
    confirm: Annotated[bool, typer.Option("--confirm", help="Do it. Without, only what it breaks is told.")] = False,
    socket: Socket = DEFAULT_SOCKET,
    form: Form = output.Form.TEXT,
) -> None:
    """Trust a root no more, at once: for one whose key others may have. Says which certificates that breaks.

    Without --confirm nothing is changed, and it ends with 1.
    """
    found = call(ControlClient(socket).distrust(root, confirmed=confirm))
    if form is output.Form.JSON:
        output.result(found)
    else:
        output.tell(_broken(found))
        if found.get("shared"):
            output.say("certificates of other replicas are not among them: ask each of them")
    if not found["done"]:
        output.fail(f"nothing was changed; with --confirm root {found['name'][:12]} is trusted no more")
    output.say(f"root {found['name'][:12]} is trusted no more")


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
    output.tell(output.table(["serial", "identity", "expires", "proof", ""], rows))


@app.command()
def bundle(socket: Socket = DEFAULT_SOCKET) -> None:
    """Every root that is trusted, in PEM: what a machine needs before it joins."""
    sys.stdout.write(call(ControlClient(socket).trust_bundle()))


def _broken(found: dict[str, Any]) -> str:
    rows = [
        [identity, output.moment(expires), why]
        for kind, why in BROKEN.items()
        for identity, expires in found[kind].items()
    ]
    if not rows:
        return f"no valid certificate depends on root {found['name'][:12]} ({found['phase']})"
    return output.table(["identity", "expires", "what breaks"], rows)


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
        output.tell(output.table(["root", "phase", "expires", "turn"], rows))
        here = " of this replica" if found.get("shared") else ""
        output.tell(
            f"{found['certificates']} valid certificates{here} in {found['trust_domain']}; "
            f"the control plane's own expires {output.moment(found['server_expires'])}"
        )
    if found["problem"]:
        output.fail(found["problem"])
